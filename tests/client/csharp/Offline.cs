// A client whose server is a list of messages: what a test gives it arrives at once.

using System;
using System.Collections.Generic;
using System.Threading;
using Zoneserver;

sealed class Offline : IZoneTransport
{
    readonly Queue<byte[]> _payloads;
    readonly ZoneClient _client;

    Offline(IEnumerable<byte[]> payloads)
    {
        _payloads = new Queue<byte[]>(payloads);
        _client = ZoneClient.Connect("127.0.0.1", new ZoneOptions { Name = "ann", Transport = () => this });
    }

    void IZoneTransport.Open() { }
    void IZoneTransport.Send(byte[] payload) { }
    void IZoneTransport.Close(bool atOnce) { }

    bool IZoneTransport.Receive(out byte[] payload, out double arrived)
    {
        arrived = ZoneClock.Time;
        payload = _payloads.Count > 0 ? _payloads.Dequeue() : null;
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
}
