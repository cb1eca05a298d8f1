// A client whose server is a list of messages: what a test gives it arrives at once.

using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Zoneserver;

sealed class Offline : IZoneTransport
{
    readonly IEnumerable<byte[]> _all;
    Queue<byte[]> _payloads;
    // The connection ends behind the first PONG.
    bool _isCut, _hasPonged;
    readonly ZoneClient _client;

    Offline(IEnumerable<byte[]> payloads)
    {
        _all = payloads;
        _client = ZoneClient.Connect("127.0.0.1", new ZoneOptions { Name = "ann", Transport = () => this });
    }

    void IZoneTransport.Open()
    {
        _payloads = new Queue<byte[]>(_all);
        _hasPonged = false;
    }

    void IZoneTransport.Send(byte[] payload)
    {
        // PING: a token below 128 is one byte.
        if (payload.Length == 3 && payload[1] == Op.Ping) _payloads.Enqueue(new byte[] { 0x94, Op.Pong, payload[2], 1, 0 });
    }

    void IZoneTransport.Close(bool atOnce) { }

    bool IZoneTransport.Receive(out byte[] payload, out double arrived)
    {
        arrived = ZoneClock.Time;
        payload = _payloads.Count > 0 ? _payloads.Dequeue() : null;
        if (_isCut && _hasPonged) throw new IOException("cut");
        _hasPonged = payload != null && payload[1] == Op.Pong;
        return payload != null;
    }

    public static string Run(string what, IEnumerable<byte[]> payloads)
    {
        var offline = new Offline(payloads);
        switch (what)
        {
            case "slow": return offline.Slow();
            case "throws": return offline.Throws();
            case "past": return offline.Past();
            case "disposed": return offline.Disposed();
            case "many": return offline.Many();
            case "cut": return offline.Cut(5) + "\t" + new Offline(payloads).Cut(0);
            default: throw new ArgumentException(what);
        }
    }

    /// <summary>The newest tick after the first Poll that told one to a slow program.</summary>
    string Slow()
    {
        _client.Ticked += update => Thread.Sleep(30);
        while (_client.Tick == 0) _client.Poll();
        return _client.Tick.ToString();
    }

    /// <summary>Who was told of the first tick, and of the outcome of an action, when others throw.</summary>
    string Throws()
    {
        var told = new List<string>();
        _client.Ticked += update => { throw new ApplicationException("first"); };
        _client.Ticked += update =>
        {
            if (update.Tick > 1) return;
            told.Add("second");
            long seq = _client.Act("say");
            _client.Done(seq, outcome => { throw new ApplicationException("waiter"); });
            _client.Done(seq, outcome => told.Add(outcome.Fate.ToString()));
            _client.Drop();
            _client.Close();
        };
        try
        {
            while (true) _client.Poll();
        }
        catch (ApplicationException error)
        {
            told.Add(error.Message);
        }
        return string.Join("\t", told);
    }

    /// <summary>What Done says of the first action, when 1,025 outcomes are known.</summary>
    string Past()
    {
        while (_client.Tick == 0) _client.Poll();
        long first = _client.Act("say");
        _client.Drop();
        _client.Close();
        long second = _client.Act("say");
        for (int i = 0; i < 1023; i++) _client.Act("say");
        var kept = _client.Done(second);
        _client.Poll();
        try
        {
            _client.Done(first);
            return "waits for ever";
        }
        catch (ArgumentException error)
        {
            return kept.Result.Fate + "\t" + error.Message;
        }
    }

    /// <summary>What becomes of a task and of a callback when the program disposes of the client.</summary>
    string Disposed()
    {
        while (_client.Tick == 0) _client.Poll();
        long seq = _client.Act("say");
        var told = new List<string>();
        _client.Done(seq, outcome => told.Add("a callback"));
        var task = _client.Done(seq);
        _client.Closed += end => told.Add("closed");
        _client.Dispose();
        _client.Poll();
        told.Add(task.IsCompleted ? task.Result.Fate + " " + task.Result.Code : "it waits for ever");
        return string.Join("\t", told);
    }

    /// <summary>The outcomes of 300 actions in the first tick, and those that wait.</summary>
    string Many()
    {
        var told = new List<string>();
        _client.Ticked += update =>
        {
            for (int i = 0; update.Tick == 1 && i < 300; i++)
                _client.Done(_client.Act("say"), outcome => told.Add(outcome.Seq + " " + outcome.Fate + " " + outcome.Code));
        };
        while (_client.Tick < 2) _client.Poll();
        return _client.Unsettled + "\t" + string.Join("\t", told);
    }

    /// <summary>The attempts to come back that count at the second end of a connection.</summary>
    string Cut(double holdSeconds)
    {
        var attempts = new List<int>();
        _isCut = true;
        _client.HoldSeconds = holdSeconds;
        _client.Dropped += end => attempts.Add(_client.Attempts);
        for (; attempts.Count < 2; Thread.Sleep(1)) _client.Poll();
        _client.Dispose();
        return attempts[1].ToString();
    }
}
