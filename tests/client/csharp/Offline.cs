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
}
