// Tests drive the C# client by this program: one command per line, its parts between tabs. A command whose name begins with
// a question mark is answered by one line that begins with "=". Clients tell what happens in lines that begin with their
// name.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Reflection;
using System.Text;
using System.Threading;
using Zoneserver;

static class Driver
{
    static readonly Queue<string> Commands = new Queue<string>();
    static readonly Dictionary<string, ZoneClient> Clients = new Dictionary<string, ZoneClient>();
    static readonly TextWriter Out = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false));
    static readonly Checks Checks = new Checks();
    static bool _hasEnded;

    static int Main()
    {
        CultureInfo.DefaultThreadCurrentCulture = new CultureInfo("de-DE");
        Thread.CurrentThread.CurrentCulture = new CultureInfo("de-DE");
        new Thread(ReadCommands) { IsBackground = true }.Start();
        while (true)
        {
            string command = null;
            lock (Commands)
            {
                if (Commands.Count == 0 && !_hasEnded) Monitor.Wait(Commands, Clients.Count > 0 ? 2 : 1000);
                if (Commands.Count > 0) command = Commands.Dequeue();
                else if (_hasEnded) return 0;
            }
            if (command != null) Run(command.Split('\t'));
            foreach (KeyValuePair<string, ZoneClient> each in new List<KeyValuePair<string, ZoneClient>>(Clients)) Poll(each.Key, each.Value);
            Out.Flush();
        }
    }

    static void ReadCommands()
    {
        var input = new StreamReader(Console.OpenStandardInput(), new UTF8Encoding(false));
        for (string line; (line = input.ReadLine()) != null;)
            lock (Commands)
            {
                Commands.Enqueue(line);
                Monitor.Pulse(Commands);
            }
        lock (Commands)
        {
            _hasEnded = true;
            Monitor.Pulse(Commands);
        }
    }

    static void Poll(string name, ZoneClient client)
    {
        try
        {
            client.Poll();
        }
        catch (ApplicationException error)
        {
            Say(name, "thrown", error.Message);
        }
    }

    static void Say(string name, params object[] parts)
    {
        var line = new StringBuilder(name);
        foreach (object part in parts) line.Append('\t').Append(Convert.ToString(part, CultureInfo.InvariantCulture));
        Out.WriteLine(line);
    }

    static void Run(string[] parts)
    {
        if (parts[0][0] == '?')
        {
            string answer;
            try
            {
                answer = parts[0].StartsWith("?client") ? Ask(Clients[parts[1]], parts[0]) : Checks.Run(parts);
            }
            catch (Exception error)
            {
                bool isRefused = error is ZoneWireException || error is IOException;
                answer = (isRefused ? "refused\t" : "failed\t") + error.Message.Replace('\n', ' ');
            }
            Out.WriteLine("=\t" + answer);
            return;
        }
        string name = parts[1];
        switch (parts[0])
        {
            case "join": Join(name, parts); break;
            case "act": Act(name, parts); break;
            case "drop": Clients[name].Drop(); break;
            case "close": Clients[name].Close(); break;
            case "dispose":
                Clients[name].Dispose();
                Clients.Remove(name);
                break;
            case "forget": Clients.Remove(name); break;
            case "quit": Environment.Exit(0); break;
            case "scene": new Scene(parts[1], int.Parse(parts[2]), text => Say("scene", text)).Run(); break;
            default: throw new ArgumentException(parts[0]);
        }
    }

    static void Join(string name, string[] parts)
    {
        var options = new ZoneOptions();
        string certificate = null;
        double patience = 10, hold = 0;
        for (int i = 3; i < parts.Length; i++)
        {
            string value = parts[i].Substring(parts[i].IndexOf('=') + 1);
            switch (parts[i].Substring(0, parts[i].IndexOf('=')))
            {
                case "name": options.Name = value; break;
                case "ticket": options.Ticket = ZoneOptions.TicketFromText(value); break;
                case "version": options.GameVersion = value; break;
                case "watch": options.Watch = true; break;
                case "resume": options.Resume = value == "1"; break;
                case "whole": options.Whole = value == "1"; break;
                case "deflate": options.Deflate = value == "1"; break;
                case "timeout": options.TimeoutSeconds = double.Parse(value, CultureInfo.InvariantCulture); break;
                case "patience": patience = double.Parse(value, CultureInfo.InvariantCulture); break;
                case "hold": hold = double.Parse(value, CultureInfo.InvariantCulture); break;
                case "certificate": certificate = value; break;
            }
        }
        if (certificate != null) options.CheckCertificate = (sender, found, chain, errors) => found.GetCertHashString() == certificate;
        ZoneClient client = Clients[name] = ZoneClient.Connect(parts[2], options);
        client.PatienceSeconds = patience;
        client.HoldSeconds = hold;
        client.Joined += () => Say(name, "joined", client.Slot, client.Game, client.Hz, client.Me == null ? "" : client.Me.Name);
        client.Entered += entity => Say(name, "entered", entity.Slot, entity.Kind, entity.Name);
        client.Left += entity => Say(name, "left", entity.Slot, entity.Kind, entity.Name, entity.IsHere);
        client.Ticked += update => Say(name, "ticked", update.Tick, update.IsResynced, update.Missed, client.State.Count);
        client.Heard += (kind, player, values) => Say(name, "heard", kind, player, Json.Of(values));
        client.Told += (kind, values) => Say(name, "told", client.Tick, kind, Json.Of(values));
        client.Refused += refusal => Say(name, "refused", refusal.Seq, refusal.Code, refusal.Text);
        client.Answered += (seq, values) => Say(name, "answered", seq, Json.Of(values));
        client.Dropped += end => Say(name, "dropped", end.Code, end.Text);
        client.Back += back => Say(name, "back", back.IsSamePlayer, back.Missed, client.Slot);
        client.Diverged += tick => Say(name, "diverged", tick);
        client.Closed += end => Say(name, "closed", end.Code, end.Retry, end.Text);
        client.Heard += (kind, player, values) =>
        {
            if (kind == "say" && (string)values[0] == "throw") throw new ApplicationException("a handler of the program");
        };
    }

    static void Act(string name, string[] parts)
    {
        var arguments = new List<object>();
        for (int i = 3; i < parts.Length; i++)
        {
            long number;
            if (long.TryParse(parts[i], out number)) arguments.Add(number);
            else arguments.Add(parts[i]);
        }
        ZoneClient client = Clients[name];
        long seq;
        // The overloads are what a program uses.
        if (arguments.Count == 1 && arguments[0] is string) seq = client.Act(parts[2], (string)arguments[0]);
        else if (arguments.Count == 2 && arguments[0] is long && arguments[1] is long) seq = client.Act(parts[2], (long)arguments[0], (long)arguments[1]);
        else seq = client.Act(parts[2], arguments.ToArray());
        Action<ZoneOutcome> tell = outcome => Say(name, "done", outcome.Seq, outcome.Fate, outcome.Code, client.Tick);
        client.Done(seq, tell);
        client.Done(seq).ContinueWith(task => client.Done(task.Result.Seq, again => Say(name, "known", again.Seq, again == task.Result)),
            System.Threading.Tasks.TaskContinuationOptions.ExecuteSynchronously);
    }

    static string Ask(ZoneClient client, string what)
    {
        switch (what)
        {
            case "?client state":
                return Json.Of(client.State);
            case "?client facts":
                var facts = new Json();
                facts.Begin('{');
                facts.Pair("phase", client.Phase.ToString());
                facts.Pair("tick", client.Tick);
                facts.Pair("hashes", client.HashesChecked);
                facts.Pair("slot", (long)client.Slot);
                facts.Pair("deflated", client.IsDeflated);
                facts.Pair("rtt", client.Rtt);
                facts.Pair("now", client.Now);
                facts.Pair("server_now", client.ServerNow);
                facts.Pair("bytes_in", client.BytesIn);
                facts.Pair("unsettled", (long)client.Unsettled);
                facts.End('}');
                return facts.ToString();
            case "?client null":
                return client.Act((string)null).ToString();
            default:
                throw new ArgumentException(what);
        }
    }
}

/// <summary>What can be checked without a server.</summary>
sealed class Checks
{
    readonly MessageDecoder _decoder = new MessageDecoder();
    ZoneState _state;
    Outcomes _outcomes;
    Dictionary<string, object> _known;
    ZoneClock _clock;
    // A transport from which nobody takes anything.
    TcpTransport _idle;
    int _slot;

    public string Run(string[] parts)
    {
        switch (parts[0])
        {
            case "?decode":
                Message message = _decoder.ReadPlain(Bytes(parts[1]), parts[1].Length / 2);
                return message == null ? "ignored" : Json.Of(message);
            case "?read":
                return Json.Of(_decoder.Read(Bytes(parts[1]), true));
            case "?encode":
                return Hex(Encode(Bytes(parts[1])));
            case "?cut":
                return Cut(parts);
            case "?ticket":
                return Hex(ZoneOptions.TicketFromText(parts[1]));
            case "?new":
                _state = new ZoneState();
                _outcomes = new Outcomes();
                _known = new Dictionary<string, object>();
                return "";
            case "?apply":
                Message applied = _decoder.Read(Bytes(parts[1]), true);
                if (applied == null) return "ignored";
                Apply(applied);
                return Json.Of(_state);
            case "?draw":
                double x, y;
                _state.Position(int.Parse(parts[1]), Number(parts[2]), out x, out y);
                return Text(x) + "\t" + Text(y);
            case "?sent":
                for (int i = 1; i < parts.Length; i++) _outcomes.Sent(long.Parse(parts[i]), new byte[0]);
                return Known();
            case "?resumed":
                _outcomes.Resumed(long.Parse(parts[1]), long.Parse(parts[2]));
                return Known();
            case "?tick":
                _outcomes.GiveUp(long.Parse(parts[1]));
                return Known();
            case "?outcomes":
                Settle(_decoder.Read(Bytes(parts[1]), true));
                return Known();
            case "?clock":
                return Clock(parts);
            case "?idle":
                if (parts[1] == "open") (_idle = new TcpTransport("127.0.0.1", int.Parse(parts[2]), false, null)).Open();
                if (parts[1] == "close") _idle.Close(true);
                return _idle.Waiting.ToString();
            case "?offline":
                return Offline.Run(parts[1], new List<string>(parts).GetRange(2, parts.Length - 2).ConvertAll(Bytes));
            default:
                throw new ArgumentException(parts[0]);
        }
    }

    string Clock(string[] parts)
    {
        double now = Number(parts[2]);
        switch (parts[1])
        {
            case "new":
                _clock = new ZoneClock();
                _clock.Configure(int.Parse(parts[3]));
                _clock.Restart(long.Parse(parts[4]), now);
                break;
            case "tick": _clock.TickArrived(long.Parse(parts[3]), Number(parts[4]), now); break;
            case "pong": _clock.PongArrived(long.Parse(parts[3]), long.Parse(parts[4]), Number(parts[5]), now); break;
        }
        return Text(_clock.Now(now)) + "\t" + Text(_clock.Drawn(now)) + "\t" + Text(_clock.Jitter);
    }

    static double Number(string text) { return double.Parse(text, CultureInfo.InvariantCulture); }

    static string Text(double value) { return value.ToString("R", CultureInfo.InvariantCulture); }

    static byte[] Bytes(string hex)
    {
        var bytes = new byte[hex.Length / 2];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = Convert.ToByte(hex.Substring(2 * i, 2), 16);
        return bytes;
    }

    public static string Hex(byte[] bytes) { return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant(); }

    /// <summary>A message of a client, read as plain values and written again as the client writes it.</summary>
    static byte[] Encode(byte[] payload)
    {
        var reader = new WireReader();
        reader.Begin(payload, 0, payload.Length);
        var values = (object[])reader.Value();
        reader.End();
        switch ((long)values[0])
        {
            case Op.Hello: return Messages.Hello((string)values[2], (byte[])values[3], Texts(values[4]), (string)values[5]);
            case Op.Resume: return Messages.Resume((string)values[2], (byte[])values[3], (long)values[4], (long)values[5], Texts(values[6]), (string)values[7]);
        }
        var writer = new WireWriter();
        writer.Message(values.Length, (byte)(long)values[0]);
        if (values.Length > 1) writer.Integer((long)values[1]);
        if (values.Length > 2)
        {
            var actions = (object[])values[2];
            writer.Array(actions.Length);
            foreach (object[] action in actions)
            {
                writer.Array(action.Length);
                foreach (object value in action) writer.Value(value, true);
            }
        }
        return writer.ToArray();
    }

    static List<string> Texts(object values)
    {
        var texts = new List<string>();
        foreach (object text in (object[])values) texts.Add((string)text);
        return texts;
    }

    static string Cut(string[] chunks)
    {
        var deframer = new Deframer();
        var payloads = new List<byte[]>();
        var line = new StringBuilder();
        try
        {
            for (int i = 1; i < chunks.Length; i++)
            {
                byte[] chunk = Bytes(chunks[i]);
                for (int done = 0; done < chunk.Length;)
                {
                    int at, free;
                    byte[] buffer = deframer.Buffer(out at, out free);
                    int count = Math.Min(free, chunk.Length - done);
                    Buffer.BlockCopy(chunk, done, buffer, at, count);
                    done += count;
                    deframer.Received(count, payloads);
                }
            }
            line.Append("complete");
        }
        catch (ZoneWireException)
        {
            line.Append("error");
        }
        foreach (byte[] payload in payloads) line.Append('\t').Append(Hex(payload));
        return line.ToString();
    }

    void Apply(Message message)
    {
        if (message.Op == Op.Welcome)
        {
            _slot = message.Welcome.Slot;
            _state.Configure(message.Welcome);
        }
        else if (message.Op == Op.Snapshot) _state.Restore(message.Snapshot);
        else if (message.Op == Op.Tick) _state.Apply(message.Frame);
    }

    void Settle(Message message)
    {
        if (message == null) return;
        switch (message.Op)
        {
            case Op.Welcome: _slot = message.Welcome.Slot; break;
            case Op.Snapshot: if (_slot >= 0) _outcomes.InSnapshot(message.Snapshot.Seq[_slot]); break;
            case Op.Tick: _outcomes.InFrame(message.Frame, _slot); break;
            case Op.Refused: _outcomes.Refused(message.Seq, message.Code, message.Text); break;
            case Op.Answered: _outcomes.Answered(message.Seq, message.Values); break;
        }
    }

    string Known()
    {
        foreach (ZoneOutcome outcome in _outcomes.Take())
            _known[outcome.Seq.ToString()] = outcome.Fate == ZoneFate.Refused ? outcome.Code : outcome.Fate.ToString().ToLowerInvariant();
        var json = new Json();
        json.Begin('{');
        foreach (KeyValuePair<string, object> each in _known) json.Pair(each.Key, each.Value);
        json.End('}');
        for (int i = 0; i < _outcomes.Count; i++) json.Raw("\t" + _outcomes.WaitingSeq(i));
        return json.ToString();
    }
}

/// <summary>Writes JSON as vectors.json has it.</summary>
sealed class Json
{
    readonly StringBuilder _text = new StringBuilder();
    bool _needsComma;

    public override string ToString() { return _text.ToString(); }

    public static string Of(object value)
    {
        var json = new Json();
        if (value is Message) json.Write((Message)value);
        else if (value is ZoneState) json.Write((ZoneState)value);
        else json.Value(value);
        return json.ToString();
    }

    public void Raw(string text) { _text.Append(text); }

    public void Begin(char bracket)
    {
        Comma();
        _text.Append(bracket);
        _needsComma = false;
    }

    public void End(char bracket)
    {
        _text.Append(bracket);
        _needsComma = true;
    }

    void Comma()
    {
        if (_needsComma) _text.Append(',');
        _needsComma = true;
    }

    public void Name(string name)
    {
        Value(name);
        _text.Append(':');
        _needsComma = false;
    }

    public void Pair(string name, object value)
    {
        Name(name);
        Value(value);
    }

    public void Value(object value)
    {
        if (value is Array && !(value is byte[]) || value is System.Collections.IList && !(value is byte[]))
        {
            Begin('[');
            foreach (object each in (System.Collections.IEnumerable)value) Value(each);
            End(']');
            return;
        }
        if (value is byte[])
        {
            Begin('{');
            Pair("bin", Checks.Hex((byte[])value));
            End('}');
            return;
        }
        if (value is ulong || value is long && Math.Abs((decimal)(long)value) >= 1L << 53)
        {
            Begin('{');
            Pair("int", Convert.ToString(value, CultureInfo.InvariantCulture));
            End('}');
            return;
        }
        Comma();
        if (value == null) _text.Append("null");
        else if (value is bool) _text.Append((bool)value ? "true" : "false");
        else if (value is double) _text.Append(Float((double)value));
        else if (value is string) Text((string)value);
        else _text.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
    }

    static string Float(double value)
    {
        string text = value.ToString("R", CultureInfo.InvariantCulture);
        return text.IndexOfAny(new[] { '.', 'E', 'N', 'I' }) < 0 ? text + ".0" : text;
    }

    void Text(string text)
    {
        _text.Append('"');
        foreach (char each in text)
        {
            if (each == '"' || each == '\\') _text.Append('\\').Append(each);
            else if (each < ' ' || each > '~') _text.Append("\\u").Append(((int)each).ToString("x4"));
            else _text.Append(each);
        }
        _text.Append('"');
    }

    void Column(string name, Array column, int count)
    {
        Name(name);
        Begin('[');
        for (int i = 0; i < count; i++) Value(column.GetValue(i));
        End(']');
    }

    void Column(string name, ByteColumn column, bool isSigned)
    {
        Name(name);
        Begin('[');
        for (int i = 0; i < column.Length; i++) Value(isSigned ? column[i] : (long)column.Byte(i));
        End(']');
    }

    void Write(Message message)
    {
        Begin('{');
        switch (message.Op)
        {
            case Op.Welcome: Write(message.Welcome); break;
            case Op.Snapshot: Write(message.Snapshot); break;
            case Op.Tick: Write(message.Frame); break;
            case Op.Pong:
                Pair("op", "PONG");
                Pair("token", message.Token);
                Pair("tick", message.Tick);
                Pair("microseconds", message.Microseconds);
                break;
            case Op.Refused:
                Pair("op", "REFUSED");
                Pair("tick", message.Tick);
                Pair("seq", message.Seq);
                Pair("code", message.Code);
                Pair("text", message.Text);
                break;
            case Op.Bye:
                Pair("op", "BYE");
                Pair("code", message.Code);
                Pair("text", message.Text);
                Pair("retry", message.Retry);
                break;
            case Op.Deflated:
                Pair("op", "DEFLATED");
                Pair("data", message.Data);
                break;
            case Op.Told:
                Pair("op", "TOLD");
                Pair("tick", message.Tick);
                Pair("kind", message.Kind);
                Pair("values", message.Values);
                break;
            case Op.Answered:
                Pair("op", "ANSWERED");
                Pair("tick", message.Tick);
                Pair("seq", message.Seq);
                Pair("values", message.Values);
                break;
        }
        End('}');
    }

    void Write(Welcome welcome)
    {
        Pair("op", "WELCOME");
        Pair("version", welcome.Version);
        Pair("slot", welcome.Slot < 0 ? null : (object)(long)welcome.Slot);
        Pair("tick", welcome.Tick);
        Pair("game", welcome.Game);
        Pair("game_version", welcome.GameVersion);
        Pair("hz", welcome.Hz);
        Pair("width", welcome.Width);
        Pair("height", welcome.Height);
        Pair("speed_step", welcome.SpeedStep);
        Name("kinds");
        Begin('[');
        foreach (ZoneKind kind in welcome.Kinds)
        {
            var stats = new List<object>();
            for (int i = 0; i < kind.Stats.Length; i++) stats.Add(new object[] { kind.Stats[i], kind.Firsts[i] });
            Value(new object[] { kind.Name, stats });
        }
        End(']');
        Name("board");
        Begin('[');
        for (int i = 0; i < welcome.Board.Length; i++) Value(new[] { welcome.BoardNames[i], welcome.Board[i] });
        End(']');
        Pair("payload_max", welcome.PayloadMax);
        Pair("actions_max", welcome.ActionsMax);
        Pair("options", welcome.Options);
        Pair("resume", welcome.Token == null ? null : new object[] { welcome.Token, welcome.Grace, welcome.Epoch, welcome.Seq });
    }

    void Holders(int count, string[] names, int[] kinds)
    {
        Name("slots");
        Begin('[');
        for (int slot = 0; slot < count; slot++) Value(names[slot] ?? (kinds[slot] < 0 ? null : (object)kinds[slot]));
        End(']');
    }

    void Write(Snapshot snapshot)
    {
        Pair("op", "SNAPSHOT");
        Pair("tick", snapshot.Tick);
        Holders(snapshot.Count, snapshot.Names, snapshot.KindOf);
        Pair("x", snapshot.X);
        Pair("y", snapshot.Y);
        Column("vx", snapshot.Vx, snapshot.Count);
        Column("vy", snapshot.Vy, snapshot.Count);
        Pair("since", snapshot.Since);
        Column("seq", snapshot.Seq, snapshot.Count);
        Pair("stats", snapshot.Stats);
        Pair("board", snapshot.Board);
    }

    void Write(Frame frame)
    {
        Pair("op", "TICK");
        Pair("tick", frame.Tick);
        Pair("dilation", frame.Dilation);
        Pair("hash", frame.Hash < 0 ? null : (object)frame.Hash);
        Pair("leaves", frame.Leaves);
        Name("joins");
        Begin('[');
        for (int i = 0; i < frame.JoinSlots.Count; i++)
        {
            Value(frame.JoinSlots[i]);
            Value(frame.JoinNames[i] ?? (object)frame.JoinKinds[i]);
        }
        End(']');
        Name("acted");
        Begin('{');
        Pair("slots", frame.Acted.Slots);
        Column("seq", frame.Acted.Seq, false);
        Column("vx", frame.Acted.Vx, true);
        Column("vy", frame.Acted.Vy, true);
        End('}');
        Name("steered");
        Begin('{');
        Pair("slots", frame.Steered.Slots);
        Column("vx", frame.Steered.Vx, true);
        Column("vy", frame.Steered.Vy, true);
        End('}');
        Pair("placed", frame.Placed);
        Pair("stats", frame.Stats);
        Name("board");
        Begin('[');
        for (int i = 0; i < frame.BoardIndexes.Count; i++)
        {
            Value(frame.BoardIndexes[i]);
            Value(frame.BoardValues[i]);
        }
        End(']');
        Name("events");
        Begin('[');
        foreach (FrameEvent each in frame.Events)
        {
            bool isPlayers = each.Slot >= 0;
            var values = new List<object> { isPlayers ? (object)each.Slot : null, isPlayers ? (object)each.Seq : null, each.Kind };
            values.AddRange(each.Values);
            Value(values);
        }
        End(']');
    }

    void Write(ZoneState state)
    {
        Begin('{');
        Pair("tick", state.Tick);
        Holders(state.Count, state.Names, state.KindOf);
        Column("x", state.X, state.Count);
        Column("y", state.Y, state.Count);
        Column("vx", state.Vx, state.Count);
        Column("vy", state.Vy, state.Count);
        Column("since", state.Since, state.Count);
        Column("seq", state.Seq, state.Count);
        Name("stats");
        Begin('[');
        foreach (int[] column in state.Stats)
        {
            Begin('[');
            for (int slot = 0; slot < state.Count; slot++) Value(column[slot]);
            End(']');
        }
        End(']');
        Pair("board", state.Board);
        Name("positions");
        Begin('[');
        for (int slot = 0; slot < state.Count; slot++)
        {
            int x, y;
            state.Position(slot, out x, out y);
            Value(state.KindOf[slot] < 0 ? null : new object[] { x, y });
        }
        End(']');
        Pair("hash", state.Hash());
        End('}');
    }
}
