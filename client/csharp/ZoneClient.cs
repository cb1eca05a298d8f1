// A client for zone servers in one file: C# 7.2, no dependency, no reflection. PROTOCOL.md of the server says what the
// bytes mean, docs/unity.md how to use this file.
//
//     var zone = ZoneClient.Connect("127.0.0.1:7777", new ZoneOptions { Name = "ann" });
//     zone.Heard += (kind, player, values) => Debug.Log(kind);
//     void Update() { zone.Poll(); }           // everything is told here, on this thread
//
// Two threads per connection read and write; they touch nothing but the queues of their transport.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.IO.Compression;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Zoneserver
{
    // ----- What a program uses ---------------------------------------------------------------------------------------

    /// <summary>How to join a zone.</summary>
    public sealed class ZoneOptions
    {
        /// <summary>The name of the player. A watcher may have none.</summary>
        public string Name = "";
        /// <summary>The ticket, if the server asks for one: see <see cref="TicketFromText"/>.</summary>
        public byte[] Ticket = new byte[0];
        /// <summary>The version of the game that the program was written for; empty for any.</summary>
        public string GameVersion = "";
        /// <summary>To see the zone without a player in it.</summary>
        public bool Watch;
        /// <summary>To come back by itself when the connection is lost: the server keeps the player in.</summary>
        public bool Resume = true;
        /// <summary>To get every missed frame after a return and not a snapshot, while the server has them.</summary>
        public bool Whole;
        /// <summary>To get compressed messages: fewer bytes, a little more work.</summary>
        public bool Deflate = true;
        /// <summary>Seconds in which the server must answer, and then send the state; longer for zones below
        /// 20 Hz.</summary>
        public double TimeoutSeconds = 10;
        /// <summary>Checks the certificate of the server (tls:// and wss://). Null: as the system does.</summary>
        public RemoteCertificateValidationCallback CheckCertificate;
        /// <summary>Makes a transport in place of those of this file, once for each connection.</summary>
        public Func<IZoneTransport> Transport;

        /// <summary>A ticket from its text, as `zoneserver ticket` prints it.</summary>
        public static byte[] TicketFromText(string text)
        {
            string padded = text.Trim().Replace('-', '+').Replace('_', '/');
            return Convert.FromBase64String(padded + new string('=', (4 - padded.Length % 4) % 4));
        }
    }

    /// <summary>Where a client stands.</summary>
    public enum ZonePhase { Connecting, Playing, Away, Leaving, Closed }

    /// <summary>What became of an action.</summary>
    public enum ZoneFate
    {
        /// <summary>A public action happened.</summary>
        Happened,
        /// <summary>A private action happened; the values are its answer.</summary>
        Answered,
        /// <summary>A later motion took the place of this one in the same tick.</summary>
        Superseded,
        /// <summary>It happened or was superseded in a tick that the client has not seen.</summary>
        Past,
        /// <summary>It did not happen: the code and the text say why.</summary>
        Refused,
        /// <summary>It did not happen, since the player was muted.</summary>
        Dropped,
        /// <summary>The session ended first.</summary>
        Lost
    }

    /// <summary>What became of the action with a sequence.</summary>
    public sealed class ZoneOutcome
    {
        public readonly long Seq;
        public readonly ZoneFate Fate;
        /// <summary>Why it did not happen; empty if it did.</summary>
        public readonly string Code;
        public readonly string Text;
        /// <summary>The answer to a private action; empty for all others.</summary>
        public readonly object[] Values;

        internal ZoneOutcome(long seq, ZoneFate fate, string code = "", string text = "", object[] values = null)
        {
            Seq = seq;
            Fate = fate;
            Code = code;
            Text = text;
            Values = values ?? NoValues;
        }

        internal static readonly object[] NoValues = new object[0];

        /// <summary>Whether the action is not known to have failed.</summary>
        public bool IsDone { get { return Fate <= ZoneFate.Past; } }
    }

    /// <summary>A refusal of an action, or a warning (then the code is WARNED, MUTED or UNMUTED).</summary>
    public sealed class ZoneRefusal
    {
        public readonly long Seq;
        public readonly string Code;
        public readonly string Text;

        internal ZoneRefusal(long seq, string code, string text)
        {
            Seq = seq;
            Code = code;
            Text = text;
        }
    }

    /// <summary>One tick. The state of the client is that of its end.</summary>
    public sealed class ZoneUpdate
    {
        public readonly long Tick;
        /// <summary>1.0 when the zone runs at full speed.</summary>
        public readonly double Dilation;
        /// <summary>Whether a snapshot came: the events of the ticks before it are lost.</summary>
        public readonly bool IsResynced;
        /// <summary>How many ticks the client has only the outcome of.</summary>
        public readonly long Missed;

        internal ZoneUpdate(long tick, double dilation, bool isResynced, long missed)
        {
            Tick = tick;
            Dilation = dilation;
            IsResynced = isResynced;
            Missed = missed;
        }
    }

    /// <summary>Why a connection ended. The codes are those of PROTOCOL.md, or the game's own.</summary>
    public sealed class ZoneEnd
    {
        public readonly string Code;
        public readonly string Text;
        /// <summary>Whether a new connection may succeed without changing anything.</summary>
        public readonly bool Retry;

        internal ZoneEnd(string code, string text, bool retry)
        {
            Code = code;
            Text = text;
            Retry = retry;
        }

        public override string ToString() { return Code + ": " + Text; }
    }

    /// <summary>A return after a lost connection.</summary>
    public sealed class ZoneReturn
    {
        /// <summary>Whether the player stayed in. If not, it joined anew, as any new player.</summary>
        public readonly bool IsSamePlayer;
        /// <summary>How many ticks the client has only the outcome of.</summary>
        public readonly long Missed;

        internal ZoneReturn(bool isSamePlayer, long missed)
        {
            IsSamePlayer = isSamePlayer;
            Missed = missed;
        }
    }

    /// <summary>A player or a thing. The object is the same as long as it holds its slot.</summary>
    public sealed class ZoneEntity
    {
        readonly ZoneState _state;

        public readonly int Slot;
        /// <summary>The name of a player; null for a thing.</summary>
        public readonly string Name;
        internal readonly ZoneKind KindOf;

        internal ZoneEntity(ZoneState state, int slot, string name, ZoneKind kind)
        {
            _state = state;
            Slot = slot;
            Name = name;
            KindOf = kind;
        }

        /// <summary>"player", or the kind of a thing.</summary>
        public string Kind { get { return KindOf.Name; } }
        public bool IsPlayer { get { return Name != null; } }

        /// <summary>Whether it is still in the zone.</summary>
        public bool IsHere { get { return Slot < _state.Count && _state.Entities[Slot] == this; } }

        /// <summary>The position at the end of the newest tick; 0 for one that has left.</summary>
        public int X { get { int x, y; return Position(out x, out y) ? x : 0; } }
        public int Y { get { int x, y; return Position(out x, out y) ? y : 0; } }

        /// <summary>The value of a stat now; 0 for one that has left. Throws KeyNotFoundException for a stat that this
        /// kind does not have.</summary>
        public int Stat(string name)
        {
            int index = KindOf.StatIndex(name);
            return IsHere ? _state.Stats[index][Slot] : 0;
        }

        bool Position(out int x, out int y)
        {
            x = y = 0;
            if (!IsHere) return false;
            _state.Position(Slot, out x, out y);
            return true;
        }

        public override string ToString() { return Name ?? Kind + " " + Slot; }
    }

    /// <summary>What can hold a slot: players (the first kind), or one kind of things.</summary>
    public sealed class ZoneKind
    {
        public readonly string Name;
        public readonly string[] Stats;
        internal readonly int[] Firsts;

        internal ZoneKind(string name, string[] stats, int[] firsts)
        {
            Name = name;
            Stats = stats;
            Firsts = firsts;
        }

        /// <summary>The index of a stat, which is its column in ZoneState.Stats. Throws KeyNotFoundException.</summary>
        public int StatIndex(string name)
        {
            int index = Array.IndexOf(Stats, name);
            if (index < 0) throw new KeyNotFoundException("a " + Name + " has no stat " + name);
            return index;
        }

        internal bool Equals(ZoneKind other)
        {
            if (Name != other.Name || Stats.Length != other.Stats.Length) return false;
            for (int i = 0; i < Stats.Length; i++)
                if (Stats[i] != other.Stats[i] || Firsts[i] != other.Firsts[i]) return false;
            return true;
        }
    }

    /// <summary>A transport carries whole messages. One thread, the one that polls, calls its methods, and none of them
    /// waits. A platform without sockets and threads, such as WebGL, needs one of its own.</summary>
    public interface IZoneTransport
    {
        /// <summary>Begins to connect.</summary>
        void Open();
        /// <summary>Queues a message. It is sent as soon as there is a connection.</summary>
        void Send(byte[] payload);
        /// <summary>Takes the next message and the <see cref="ZoneClock.Time"/> of its arrival; false if none has
        /// arrived. When every message was taken it throws IOException if the connection has ended, and
        /// ZoneWireException if what came behind them is no message.</summary>
        bool Receive(out byte[] payload, out double arrived);
        /// <summary>Ends the connection: at once, or when what is queued was sent.</summary>
        void Close(bool atOnce);
    }

    /// <summary>The server sent what no server sends.</summary>
    public sealed class ZoneWireException : Exception
    {
        public ZoneWireException(string text) : base(text) { }
    }

    // ----- The client ------------------------------------------------------------------------------------------------

    /// <summary>A player in a zone, or a watcher. All methods and events belong to the thread that calls
    /// <see cref="Poll"/>.</summary>
    public sealed class ZoneClient : IDisposable
    {
        public const int Version = 2;

        // The bounds of what waits. An honest server sends a frame with every tick, and private messages before it.
        const int PrivateBytesMax = 4 * 1024 * 1024;
        const int MessagesPerPoll = 256;
        // A Poll takes no further message after this time: the picture of a program must not wait for a server.
        const double SecondsPerPoll = 0.02;
        // Coming back: a random time from 0 to a bound that doubles, for a minute in all.
        const double FirstPause = 0.25, LastPause = 8, AwaySeconds = 60;
        // The actions that are kept while the client is away: a later return would do what the player wanted then.
        const int KeptMax = 16;
        const double KeptSeconds = 2;
        const double PingSeconds = 2, LeaveSeconds = 2;
        // A server that sends nothing for so long is gone.
        internal double PatienceSeconds = 10;
        // After so long a return has held: the pauses begin anew.
        internal double HoldSeconds = 5;
        /// <summary>How many times the client has tried to come back since a return has held.</summary>
        internal int Attempts { get { return _attempts; } }
        // The head of an ACT takes up to 16 bytes.
        const int ActHeadBytes = 16;
        const int OutcomesMax = 1024;

        static readonly ZoneEnd HasLeft = new ZoneEnd("CLIENT_LEFT", "the client has left", true);

        readonly ZoneOptions _options;
        readonly string _address;
        readonly MessageDecoder _decoder = new MessageDecoder();
        readonly Outcomes _outcomes = new Outcomes();
        readonly PrivateMessages _private = new PrivateMessages();
        readonly Random _random = new Random();
        readonly WireWriter _writer = new WireWriter();

        // What the handlers have not been told yet, and the first exception of one.
        readonly Queue<Note> _notes = new Queue<Note>();
        ExceptionDispatchInfo _failure;
        // The handlers of each kind of note as they were at the last one, and each of them.
        readonly Delegate[] _split = new Delegate[(int)NoteKind.Closed + 1];
        readonly Delegate[][] _each = new Delegate[(int)NoteKind.Closed + 1][];
        bool _isPolling;

        IZoneTransport _transport;
        Welcome _welcome;
        // The WELCOME of the present connection has come.
        bool _isWelcome;
        // Until the first frame or snapshot behind a WELCOME; and whether that WELCOME continues the same player.
        bool _isFirst, _isSamePlayer, _isReturn;
        bool _hasJoined;
        // The present attempt comes with RESUME, and asks for a snapshot since the state is wrong.
        bool _isResuming, _needsSnapshot;
        // The state has diverged, and no hash has agreed since.
        bool _hasDiverged;

        readonly List<Queued> _queue = new List<Queued>();
        readonly List<Kept> _kept = new List<Kept>();
        long _nextSeq = 1;
        double _flushedAt;
        readonly Dictionary<long, Action<ZoneOutcome>> _waiters = new Dictionary<long, Action<ZoneOutcome>>();
        readonly Dictionary<long, ZoneOutcome> _known = new Dictionary<long, ZoneOutcome>();
        readonly Queue<long> _knownOrder = new Queue<long>();
        // The actions whose outcome is still to come.
        readonly HashSet<long> _open = new HashSet<long>();

        // Times are those of ZoneClock.Time.
        double _deadline, _heardAt, _polledAt, _pingAt, _pingSent, _retryAt, _awayUntil, _welcomedAt;
        long _pingToken;
        bool _isPinging;
        int _attempts;
        string _lostText = "";

        struct Queued { public long Seq; public byte[] Action; }
        struct Kept { public long Seq; public double Until; }

        enum NoteKind
        {
            Joined, Entered, Left, Ticked, Heard, Told, Refused, Answered, Outcome, Dropped, Back, Diverged, Closed
        }

        struct Note
        {
            public NoteKind Kind;
            public string Text;
            public object Subject;
            public object[] Values;
            public long Seq;
            // The callback that asked for an outcome which was known already.
            public Action<ZoneOutcome> Waiter;
        }

        /// <summary>The client is in the zone for the first time, and has its state.</summary>
        public event Action Joined;
        /// <summary>A player or a thing is in the zone from now on: also each that was there before.</summary>
        public event Action<ZoneEntity> Entered;
        /// <summary>A player or a thing has left.</summary>
        public event Action<ZoneEntity> Left;
        /// <summary>A tick is over. It comes after all else of its tick.</summary>
        public event Action<ZoneUpdate> Ticked;
        /// <summary>An event of the game: its kind, the player (null for the game itself) and the values, each null,
        /// bool, long (ulong beyond it), double, string, byte[] or object[].</summary>
        public event Action<string, ZoneEntity, object[]> Heard;
        /// <summary>The game tells this player alone.</summary>
        public event Action<string, object[]> Told;
        /// <summary>An action did not happen, or the server warns.</summary>
        public event Action<ZoneRefusal> Refused;
        /// <summary>A private action happened: its sequence and the answer.</summary>
        public event Action<long, object[]> Answered;
        /// <summary>The connection is lost, and the client tries to come back.</summary>
        public event Action<ZoneEnd> Dropped;
        /// <summary>The client is back, and has the state.</summary>
        public event Action<ZoneReturn> Back;
        /// <summary>The hash of the state was wrong at this tick: an error. Dropped and Back follow.</summary>
        public event Action<long> Diverged;
        /// <summary>It is over. It comes once, and nothing comes after it.</summary>
        public event Action<ZoneEnd> Closed;

        /// <summary>Begins to join; Poll does the rest.</summary>
        /// <param name="address">"host:port" or "tcp://host:port", "tls://host:port", "ws://host:port" or
        /// "wss://host:port".</param>
        public static ZoneClient Connect(string address, ZoneOptions options)
        {
            if (!BitConverter.IsLittleEndian)
                throw new PlatformNotSupportedException("a little-endian machine is needed");
            var client = new ZoneClient(address, options);
            client.OpenTransport(client.Hello());
            return client;
        }

        public static ZoneClient Connect(string host, int port, string name)
        {
            string known = host.IndexOf(':') < 0 ? host : "[" + host + "]";
            return Connect(known + ":" + port, new ZoneOptions { Name = name });
        }

        ZoneClient(string address, ZoneOptions options)
        {
            if (options.Name == null || options.Ticket == null || options.GameVersion == null)
                throw new ArgumentException("a name, a ticket and a version of a game may be empty, but not null");
            _options = options;
            _address = address.IndexOf("://", StringComparison.Ordinal) < 0 ? "tcp://" + address : address;
            State = new ZoneState();
            Clock = new ZoneClock();
            Slot = -1;
        }

        // --- What the client knows ---

        public ZonePhase Phase { get; private set; }
        /// <summary>Why it is over; null before.</summary>
        public ZoneEnd End { get; private set; }
        /// <summary>The slot of this client's player; -1 for a watcher and before Joined.</summary>
        public int Slot { get; private set; }
        /// <summary>This client's player; null for a watcher and before Joined.</summary>
        public ZoneEntity Me { get { return Entity(Slot); } }
        public string Game { get { return _welcome == null ? "" : _welcome.Game; } }
        public string GameVersion { get { return _welcome == null ? "" : _welcome.GameVersion; } }
        public int Hz { get { return _welcome == null ? 0 : _welcome.Hz; } }
        public int Width { get { return State.Width; } }
        public int Height { get { return State.Height; } }
        /// <summary>The newest tick that the client has.</summary>
        public long Tick { get { return State.Tick; } }
        /// <summary>The state of the zone at the end of that tick, in columns by slot.</summary>
        public ZoneState State { get; private set; }
        public ZoneClock Clock { get; private set; }
        /// <summary>Seconds of the last round trip; below 0 before the first.</summary>
        public double Rtt { get { return Clock.Rtt; } }
        /// <summary>The tick to draw, a fraction: one tick and the jitter behind, so that its frame is there.</summary>
        public double Now { get { return _welcome == null ? 0 : Clock.Drawn(ZoneClock.Time); } }
        /// <summary>The tick in which the zone is at this moment, as well as the client can tell.</summary>
        public double ServerNow { get { return _welcome == null ? 0 : Clock.Now(ZoneClock.Time); } }
        public long HashesChecked { get; private set; }
        /// <summary>How many actions have no known outcome yet.</summary>
        public int Unsettled { get { return _outcomes.Count; } }
        public long BytesIn { get; private set; }
        public long BytesOut { get; private set; }
        /// <summary>Whether the server compresses.</summary>
        public bool IsDeflated { get { return _welcome != null && Array.IndexOf(_welcome.Options, "deflate") >= 0; } }

        /// <summary>The player or thing in a slot, or null.</summary>
        public ZoneEntity Entity(int slot) { return slot >= 0 && slot < State.Count ? State.Entities[slot] : null; }

        /// <summary>The player with this name, or null.</summary>
        public ZoneEntity Find(string name)
        {
            for (int slot = 0; slot < State.Count; slot++)
                if (State.Names[slot] == name && name != null) return State.Entities[slot];
            return null;
        }

        /// <summary>All players, in the order of their slots.</summary>
        public IEnumerable<ZoneEntity> Players
        {
            get
            {
                for (int slot = 0; slot < State.Count; slot++)
                    if (State.Names[slot] != null) yield return State.Entities[slot];
            }
        }

        /// <summary>All things, in the order of their slots.</summary>
        public IEnumerable<ZoneEntity> Things
        {
            get
            {
                for (int slot = 0; slot < State.Count; slot++)
                    if (State.KindOf[slot] > 0) yield return State.Entities[slot];
            }
        }

        /// <summary>An entry of the board: a long or a string. Throws KeyNotFoundException.</summary>
        public object Board(string name)
        {
            int index = Array.IndexOf(State.BoardNames, name);
            if (index < 0) throw new KeyNotFoundException("the board has no entry " + name);
            return State.Board[index];
        }

        /// <summary>Where to draw a slot at a tick, such as Now.</summary>
        public void Position(int slot, double tick, out double x, out double y)
        {
            State.Position(slot, tick, out x, out y);
        }

        // --- Acting ---

        /// <summary>Does an action, and returns its sequence. All actions of one tick leave as one packet, from Poll.
        /// Throws ArgumentException for a kind that is null and for values that cannot be sent.</summary>
        public long Act(string kind)
        {
            return Act(BeginAction(kind, 0));
        }

        public long Act(string kind, long argument)
        {
            WireWriter writer = BeginAction(kind, 1);
            writer.Integer(argument);
            return Act(writer);
        }

        public long Act(string kind, long first, long second)
        {
            WireWriter writer = BeginAction(kind, 2);
            writer.Integer(first);
            writer.Integer(second);
            return Act(writer);
        }

        public long Act(string kind, string argument)
        {
            WireWriter writer = BeginAction(kind, 1);
            writer.Text(argument);
            return Act(writer);
        }

        public long Act(string kind, params object[] arguments)
        {
            if (arguments == null) arguments = new object[] { null };
            WireWriter writer = BeginAction(kind, arguments.Length);
            for (int i = 0; i < arguments.Length; i++) writer.Value(arguments[i], true);
            return Act(writer);
        }

        WireWriter BeginAction(string kind, int arguments)
        {
            if (_welcome == null && Phase != ZonePhase.Closed)
                throw new InvalidOperationException("Act() was called before Joined");
            if (_options.Watch) throw new InvalidOperationException("a watcher has no player and cannot act");
            if (kind == null) throw new ArgumentException("the kind of an action is a string, and not null");
            if (arguments > 15) throw new ArgumentException("an action has at most 15 arguments");
            _writer.Clear();
            _writer.Array(1 + arguments);
            _writer.Text(kind);
            return _writer;
        }

        long Act(WireWriter writer)
        {
            byte[] action = writer.ToArray();
            if (_welcome != null && action.Length > _welcome.PayloadMax - ActHeadBytes)
            {
                int most = _welcome.PayloadMax - ActHeadBytes;
                throw new ArgumentException("the action takes " + action.Length + " bytes; a packet holds " + most);
            }
            long seq = _nextSeq++;
            if (Phase == ZonePhase.Closed || Phase == ZonePhase.Leaving)
            {
                ZoneEnd end = End ?? HasLeft;
                Settle(new ZoneOutcome(seq, ZoneFate.Lost, end.Code, end.Text));
                return seq;
            }
            _open.Add(seq);
            if (!_outcomes.HasRoom(seq))
            {
                const string text = "255 earlier actions have no answer yet, and this was not sent";
                Tell(NoteKind.Refused, new ZoneRefusal(seq, "UNANSWERED", text));
                Settle(new ZoneOutcome(seq, ZoneFate.Refused, "UNANSWERED", text));
                return seq;
            }
            _outcomes.Sent(seq, action);
            if (Phase == ZonePhase.Playing)
                _queue.Add(new Queued { Seq = seq, Action = action });
            else if (_kept.Count < KeptMax)
                _kept.Add(new Kept { Seq = seq, Until = ZoneClock.Time + KeptSeconds });
            else
                RefuseAway(seq);
            return seq;
        }

        /// <summary>Calls `then` when it is known what became of an action. Poll calls it. Throws ArgumentException for
        /// an action that was never done, or is long past: the last 1,024 outcomes are kept.</summary>
        public void Done(long seq, Action<ZoneOutcome> then)
        {
            ZoneOutcome outcome;
            Action<ZoneOutcome> before;
            if (_waiters.TryGetValue(seq, out before))
                _waiters[seq] = before + then;
            else if (_known.TryGetValue(seq, out outcome))
                _notes.Enqueue(new Note { Kind = NoteKind.Outcome, Subject = outcome, Waiter = then });
            else if (_open.Contains(seq))
                _waiters[seq] = then;
            else
                throw new ArgumentException("there was no action " + seq + " of late");
        }

        /// <summary>The outcome of an action, to await. It comes in any case: Close and Dispose make it Lost.</summary>
        public Task<ZoneOutcome> Done(long seq)
        {
            ZoneOutcome outcome;
            if (_known.TryGetValue(seq, out outcome)) return Task.FromResult(outcome);
            var source = new TaskCompletionSource<ZoneOutcome>();
            Done(seq, source.SetResult);
            return source.Task;
        }

        /// <summary>Sends the collected actions now, and not at the end of the tick.</summary>
        public void Flush()
        {
            if (Phase != ZonePhase.Playing) return;
            int at = 0;
            while (at < _queue.Count)
            {
                int first = at, bytes = 0;
                while (at < _queue.Count && at - first < _welcome.ActionsMax
                       && _queue[at].Seq == _queue[first].Seq + (at - first)
                       && (at == first || bytes + _queue[at].Action.Length <= _welcome.PayloadMax - ActHeadBytes))
                    bytes += _queue[at++].Action.Length;
                _writer.Clear();
                _writer.Message(3, Op.Act);
                _writer.Integer(_queue[first].Seq);
                _writer.Array(at - first);
                for (int i = first; i < at; i++) _writer.Raw(_queue[i].Action);
                Send(_writer.ToArray());
            }
            if (at > 0) _flushedAt = ZoneClock.Time;
            _queue.Clear();
        }

        // --- Ending ---

        /// <summary>Leaves the zone. Poll until Closed is told. What became of the last actions stays unknown: wait for
        /// Done first if it matters.</summary>
        public void Close()
        {
            if (Phase == ZonePhase.Playing)
            {
                Flush();
                Send(new byte[] { 0x91, Op.Goodbye });
                Phase = ZonePhase.Leaving;
                _deadline = ZoneClock.Time + LeaveSeconds;
            }
            else if (Phase != ZonePhase.Leaving)
            {
                Finish(HasLeft);
            }
        }

        /// <summary>Leaves the zone without telling more, as when the scene ends. Only what awaits an outcome goes
        /// on.</summary>
        public void Dispose()
        {
            Close();
            Finish(HasLeft);
            while (_notes.Count > 0)
            {
                Note note = _notes.Dequeue();
                Delegate all = note.Kind == NoteKind.Outcome ? HandlersOf(note) : null;
                if (all == null) continue;
                foreach (Delegate handler in all.GetInvocationList())
                    if (handler.Target is TaskCompletionSource<ZoneOutcome>) Call(handler, note);
            }
        }

        /// <summary>Cuts the connection, as a bad network would: to try how the program takes it.</summary>
        public void Drop()
        {
            if (_transport != null) Lost("the program dropped the connection");
        }

        void Finish(ZoneEnd end)
        {
            if (Phase == ZonePhase.Closed) return;
            Phase = ZonePhase.Closed;
            End = end;
            CloseTransport(false);
            _queue.Clear();
            _kept.Clear();
            TellPrivate(long.MaxValue);
            _outcomes.Fail(ZoneFate.Lost, end.Code, end.Text);
            TakeSettled();
            // The outcomes in private messages that were thrown away, as too many came.
            foreach (long seq in new List<long>(_open)) Settle(new ZoneOutcome(seq, ZoneFate.Lost, end.Code, end.Text));
            Tell(NoteKind.Closed, end);
        }

        // --- Polling ---

        /// <summary>Takes what has arrived, tells it, and sends what was done. It never waits. Call it once per frame.
        /// An exception of a handler leaves it at its end, when all else is told.</summary>
        public void Poll()
        {
            if (_isPolling) return;
            _isPolling = true;
            try
            {
                double now = ZoneClock.Time;
                // While nobody polled, nobody can say that the server was silent.
                if (now - _polledAt > 1)
                {
                    _heardAt = now;
                    if (_isFirst) _deadline = Math.Max(_deadline, now + 1);
                }
                _polledAt = now;
                DrainNotes();
                if (_transport != null) ReceiveAll();
                Watch(now);
                if (_queue.Count > 0 && Phase == ZonePhase.Playing && now >= _flushedAt + 1.0 / _welcome.Hz) Flush();
                DrainNotes();
            }
            finally
            {
                _isPolling = false;
            }
            ExceptionDispatchInfo failure = _failure;
            _failure = null;
            if (failure != null) failure.Throw();
        }

        void ReceiveAll()
        {
            double until = ZoneClock.Time + SecondsPerPoll;
            for (int i = 0; i < MessagesPerPoll && _transport != null && (i == 0 || ZoneClock.Time < until); i++)
            {
                byte[] payload;
                double arrived;
                try
                {
                    if (!_transport.Receive(out payload, out arrived)) return;
                }
                catch (IOException error)
                {
                    Lost(error.Message);
                    return;
                }
                catch (ZoneWireException error)
                {
                    Fault(error.Message);
                    return;
                }
                _heardAt = _polledAt;
                BytesIn += payload.Length;
                try
                {
                    Process(payload, arrived);
                }
                catch (Exception error)
                {
                    // No handler runs in Process: whatever went wrong, the bytes are the cause.
                    Fault(error is ZoneWireException ? error.Message : error.GetType().Name + ": " + error.Message);
                }
                DrainNotes();
            }
        }

        void Lost(string text) { Ended(new ZoneEnd("CONNECTION_LOST", text, true), true); }

        void Fault(string text) { GiveUp(new ZoneEnd("PROTOCOL_ERROR", "from the server: " + text, false)); }

        void GiveUp(ZoneEnd end)
        {
            CloseTransport(true);
            Finish(end);
        }

        void Watch(double now)
        {
            for (; _kept.Count > 0 && now >= _kept[0].Until; _kept.RemoveAt(0)) RefuseAway(_kept[0].Seq);
            if (Phase == ZonePhase.Leaving && now > _deadline)
            {
                Finish(new ZoneEnd("CLIENT_LEFT", "the server did not answer the goodbye", true));
            }
            else if (Phase == ZonePhase.Away && now > _awayUntil)
            {
                string text = "there was no way back within " + AwaySeconds + " s: " + _lostText;
                Finish(new ZoneEnd("CONNECTION_LOST", text, true));
            }
            else if (Phase == ZonePhase.Away && _transport == null && now >= _retryAt)
            {
                _attempts++;
                _isResuming = !_options.Watch && _welcome.Token != null;
                OpenTransport(_isResuming ? Resume() : Hello());
            }
            else if (_transport != null && !_isWelcome && now > _deadline)
            {
                string seconds = _options.TimeoutSeconds.ToString(CultureInfo.InvariantCulture);
                Lost("no answer from " + _address + " within " + seconds + " s");
            }
            else if (_transport != null && _isFirst && now > _deadline)
            {
                string text = _address + " has let this client in, but sends no state: is it overloaded?";
                if (_hasJoined) Lost(text);
                else GiveUp(new ZoneEnd("CONNECTION_LOST", text, true));
            }
            else if (Phase == ZonePhase.Playing)
            {
                // A frame may be a hundred periods away where the zone is overloaded.
                if (now - _heardAt > PatienceSeconds * Math.Max(1, 20.0 / _welcome.Hz))
                    Lost("the server has sent nothing for " + Math.Round(now - _heardAt) + " s");
                else if (!_isPinging && now >= _pingAt)
                    Ping(now);
            }
        }

        // --- Connections ---

        void OpenTransport(byte[] first)
        {
            _isWelcome = _isPinging = false;
            _deadline = ZoneClock.Time + _options.TimeoutSeconds;
            _transport = _options.Transport != null ? _options.Transport() : MakeTransport();
            _transport.Open();
            Send(first);
        }

        IZoneTransport MakeTransport()
        {
            var uri = new Uri(_address);
            switch (uri.Scheme)
            {
                case "tcp":
                case "tls":
                    int port = uri.Port > 0 ? uri.Port : 7777;
                    return new TcpTransport(uri.DnsSafeHost, port, uri.Scheme == "tls", _options.CheckCertificate);
                case "ws":
                case "wss":
                    return new WebSocketTransport(uri, _options.CheckCertificate);
                default:
                    throw new ArgumentException("an address begins with tcp://, tls://, ws:// or wss://: " + _address);
            }
        }

        void CloseTransport(bool atOnce)
        {
            if (_transport == null) return;
            IZoneTransport transport = _transport;
            _transport = null;
            transport.Close(atOnce);
        }

        void Send(byte[] payload)
        {
            if (_transport == null) return;
            BytesOut += payload.Length;
            _transport.Send(payload);
        }

        void Ping(double now)
        {
            _isPinging = true;
            _pingSent = now;
            _pingAt = now + PingSeconds;
            _writer.Clear();
            _writer.Message(2, Op.Ping);
            _writer.Integer(++_pingToken);
            Send(_writer.ToArray());
        }

        byte[] Hello()
        {
            return Messages.Hello(_options.Name, _options.Ticket, OptionNames(false), _options.GameVersion);
        }

        byte[] Resume()
        {
            // A tick that no zone has reached asks for a snapshot. Without a state everything is still to come.
            long tick = !State.HasState ? 0 : _needsSnapshot ? uint.MaxValue : State.Tick;
            List<string> names = OptionNames(true);
            return Messages.Resume(_options.Name, _welcome.Token, _welcome.Epoch, tick, names, _options.GameVersion);
        }

        List<string> OptionNames(bool resuming)
        {
            var names = new List<string>();
            if (_options.Deflate) names.Add("deflate");
            if (_options.Watch) names.Add("watch");
            else if (_options.Resume) names.Add("resume");
            if (_options.Whole && resuming) names.Add("whole");
            return names;
        }

        /// <summary>The connection has ended.</summary>
        void Ended(ZoneEnd end, bool atOnce)
        {
            CloseTransport(atOnce);
            bool mayReturn = _options.Resume && end.Retry && end.Code != "CLIENT_LEFT" && end.Code != "BANNED";
            if (Phase == ZonePhase.Leaving)
            {
                // The answer to GOODBYE, or an end without it: the client has left in both cases.
                Finish(end.Code == "CONNECTION_LOST" ? new ZoneEnd("CLIENT_LEFT", end.Text, true) : end);
            }
            else if (Phase == ZonePhase.Playing && mayReturn)
            {
                Phase = ZonePhase.Away;
                _lostText = end.Text;
                _awayUntil = ZoneClock.Time + AwaySeconds;
                _queue.Clear();
                _private.ExpectAgain();
                Pause();
                Tell(NoteKind.Dropped, end);
            }
            else if (Phase == ZonePhase.Away && mayReturn)
            {
                // The token is of no use: the next attempt joins anew.
                if (end.Code == "RESUME_FAILED") _welcome.Token = null;
                _lostText = end.Text;
                Pause();
            }
            else
            {
                Finish(end);
            }
        }

        void Pause()
        {
            double longest = Math.Min(LastPause, FirstPause * Math.Pow(2, Math.Min(_attempts, 10)));
            _retryAt = ZoneClock.Time + _random.NextDouble() * longest;
        }

        void RefuseAway(long seq)
        {
            const string text = "the connection was lost for too long, and this was not sent";
            _outcomes.Refused(seq, "AWAY", text);
            Tell(NoteKind.Refused, new ZoneRefusal(seq, "AWAY", text));
            TakeSettled();
        }

        // --- Messages of the server ---

        void Process(byte[] payload, double arrived)
        {
            Message message = _decoder.Read(payload, _options.Deflate);
            if (message == null) return;
            if (!_isWelcome && message.Op != Op.Welcome && message.Op != Op.Bye)
                throw new ZoneWireException("it sent a message before its WELCOME");
            switch (message.Op)
            {
                case Op.Welcome:
                    Welcomed(message.Welcome, arrived);
                    break;
                case Op.Snapshot:
                    Restore(message.Snapshot, arrived);
                    break;
                case Op.Tick:
                    Apply(message.Frame, arrived);
                    break;
                case Op.Pong:
                    if (_isPinging && message.Token == _pingToken)
                    {
                        _isPinging = false;
                        if (ZoneClock.Time - _welcomedAt >= HoldSeconds) _attempts = 0;
                        Clock.PongArrived(message.Tick, message.Microseconds, _pingSent, arrived);
                    }
                    break;
                case Op.Bye:
                    Ended(new ZoneEnd(message.Code, message.Text, message.Retry), false);
                    break;
                default:
                    Keep(message, payload);
                    break;
            }
        }

        void Welcomed(Welcome welcome, double arrived)
        {
            if (_isWelcome) throw new ZoneWireException("it sent a second WELCOME, which this client did not ask for");
            if (welcome.Version != Version)
                throw new ZoneWireException("it speaks version " + welcome.Version + " of the protocol");
            if (welcome.Slot < 0 != _options.Watch)
                throw new ZoneWireException("it gave a watcher a slot, or a player none");
            _isReturn = Phase == ZonePhase.Away;
            _isSamePlayer = _isReturn && (_isResuming || _options.Watch);
            if (_isResuming && _isReturn && welcome.Slot != Slot)
                throw new ZoneWireException("it let us come back to another slot");
            _isWelcome = _isFirst = true;
            bool isOther = _welcome == null || !welcome.IsSameZone(_welcome);
            _welcome = welcome;
            Slot = welcome.Slot;
            if (isOther)
            {
                State.Configure(welcome);
                Clock.Configure(welcome.Hz);
            }
            if (_isReturn && !_isSamePlayer)
            {
                // A new player: nothing that waited is of this one.
                TellPrivate(long.MaxValue);
                _outcomes.Reset("AWAY", "the player could not come back, and joined anew");
                TakeSettled();
                State.HasState = false;
            }
            _nextSeq = Math.Max(_nextSeq, welcome.Seq + 1);
            if (_isReturn) _outcomes.Resumed(welcome.Seq, welcome.Tick + welcome.Hz);
            _kept.Clear();
            Phase = ZonePhase.Playing;
            Clock.Arrived(welcome.Tick, arrived);
            if (_isReturn && _isSamePlayer)
            {
                _outcomes.CopyWaiting(welcome.Seq, SendAgain);
                Flush();
            }
            _heardAt = _polledAt;
            _welcomedAt = ZoneClock.Time;
            _deadline = _welcomedAt + _options.TimeoutSeconds * Math.Max(1, 20.0 / welcome.Hz);
            Ping(_welcomedAt);
        }

        void SendAgain(long seq, byte[] action) { _queue.Add(new Queued { Seq = seq, Action = action }); }

        void Restore(Snapshot snapshot, double arrived)
        {
            bool hadState = State.HasState;
            long missed = snapshot.Tick - State.Tick;
            if (missed < 0) Clock.Restart(snapshot.Tick, arrived);
            State.Restore(snapshot);
            _needsSnapshot = false;
            Clock.TickArrived(snapshot.Tick, 1.0, arrived);
            if (Slot >= 0 && Slot < State.Count) _outcomes.InSnapshot(State.Seq[Slot]);
            Updated(new ZoneUpdate(snapshot.Tick, 1.0, true, hadState ? Math.Max(0, missed) : 0), null);
        }

        void Apply(Frame frame, double arrived)
        {
            State.Apply(frame);
            Clock.TickArrived(frame.Tick, frame.Dilation / 100.0, arrived);
            if (Slot >= 0) _outcomes.InFrame(frame, Slot);
            Updated(new ZoneUpdate(frame.Tick, frame.Dilation / 100.0, false, 0), frame);
            if (frame.Hash < 0) return;
            HashesChecked++;
            uint found = State.Hash();
            if (found == frame.Hash)
            {
                _hasDiverged = false;
                return;
            }
            string hashes = frame.Hash.ToString("x8") + ", ours is " + found.ToString("x8");
            string text = "tick " + frame.Tick + ": the server's state hash is " + hashes;
            Tell(NoteKind.Diverged, null, frame.Tick);
            var end = new ZoneEnd("DIVERGED", text, true);
            if (_hasDiverged)
            {
                // A new state did not help.
                GiveUp(end);
                return;
            }
            _hasDiverged = _needsSnapshot = true;
            Ended(end, true);
        }

        /// <summary>The state is that of a tick: tells all that belongs to it.</summary>
        void Updated(ZoneUpdate update, Frame frame)
        {
            if (!_hasJoined) Tell(NoteKind.Joined, null);
            else if (_isFirst && _isReturn) Tell(NoteKind.Back, new ZoneReturn(_isSamePlayer, update.Missed));
            _isFirst = false;
            _hasJoined = true;
            foreach (ZoneEntity entity in State.Went) Tell(NoteKind.Left, entity);
            foreach (ZoneEntity entity in State.Came) Tell(NoteKind.Entered, entity);
            TellPrivate(frame == null ? long.MaxValue : update.Tick);
            for (int i = 0; frame != null && i < frame.Events.Count; i++)
            {
                FrameEvent each = frame.Events[i];
                var note = new Note { Kind = NoteKind.Heard, Text = each.Kind, Subject = Entity(each.Slot) };
                note.Values = each.Values;
                _notes.Enqueue(note);
            }
            _outcomes.GiveUp(update.Tick);
            TakeSettled();
            Tell(NoteKind.Ticked, update);
        }

        /// <summary>Keeps a message to this player alone until the frame of its tick, which comes behind it.</summary>
        void Keep(Message message, byte[] payload)
        {
            if (!_private.Add(message, payload)) return;
            if (_private.Bytes > PrivateBytesMax)
            {
                _private.Clear();
                throw new ZoneWireException(PrivateBytesMax + " bytes of private messages came without a frame");
            }
            if (message.Op == Op.Refused) _outcomes.Refused(message.Seq, message.Code, message.Text);
            else if (message.Op == Op.Answered) _outcomes.Answered(message.Seq, message.Values);
            message.Outcomes = _outcomes.Take();
        }

        void TellPrivate(long tick)
        {
            foreach (Message message in _private.Take(tick))
            {
                if (message.Op == Op.Told)
                    _notes.Enqueue(new Note { Kind = NoteKind.Told, Text = message.Kind, Values = message.Values });
                else if (message.Op == Op.Refused)
                    Tell(NoteKind.Refused, new ZoneRefusal(message.Seq, message.Code, message.Text));
                else
                    _notes.Enqueue(new Note { Kind = NoteKind.Answered, Seq = message.Seq, Values = message.Values });
                foreach (ZoneOutcome outcome in message.Outcomes) Settle(outcome);
            }
        }

        void TakeSettled()
        {
            foreach (ZoneOutcome outcome in _outcomes.Take()) Settle(outcome);
        }

        void Settle(ZoneOutcome outcome)
        {
            _open.Remove(outcome.Seq);
            _known[outcome.Seq] = outcome;
            _knownOrder.Enqueue(outcome.Seq);
            if (_knownOrder.Count > OutcomesMax) _known.Remove(_knownOrder.Dequeue());
            Tell(NoteKind.Outcome, outcome);
        }

        // --- Telling ---

        void Tell(NoteKind kind, object subject, long seq = 0)
        {
            _notes.Enqueue(new Note { Kind = kind, Subject = subject, Seq = seq });
        }

        void DrainNotes()
        {
            while (_notes.Count > 0)
            {
                Note note = _notes.Dequeue();
                Delegate all = HandlersOf(note);
                if (all == null) continue;
                foreach (Delegate handler in Each(note.Kind, all))
                {
                    try
                    {
                        Call(handler, note);
                    }
                    catch (Exception error)
                    {
                        // The others are told all the same.
                        if (_failure == null) _failure = ExceptionDispatchInfo.Capture(error);
                    }
                }
            }
        }

        Delegate HandlersOf(Note note)
        {
            switch (note.Kind)
            {
                case NoteKind.Joined: return Joined;
                case NoteKind.Entered: return Entered;
                case NoteKind.Left: return Left;
                case NoteKind.Ticked: return Ticked;
                case NoteKind.Heard: return Heard;
                case NoteKind.Told: return Told;
                case NoteKind.Refused: return Refused;
                case NoteKind.Answered: return Answered;
                case NoteKind.Dropped: return Dropped;
                case NoteKind.Back: return Back;
                case NoteKind.Diverged: return Diverged;
                case NoteKind.Closed: return Closed;
                default: return note.Waiter ?? TakeWaiter(((ZoneOutcome)note.Subject).Seq);
            }
        }

        Action<ZoneOutcome> TakeWaiter(long seq)
        {
            Action<ZoneOutcome> waiter;
            if (_waiters.TryGetValue(seq, out waiter)) _waiters.Remove(seq);
            return waiter;
        }

        /// <summary>The single handlers of a note. They seldom change, so the last answer for each kind is kept.</summary>
        Delegate[] Each(NoteKind kind, Delegate all)
        {
            if (!ReferenceEquals(_split[(int)kind], all))
            {
                _split[(int)kind] = all;
                _each[(int)kind] = all.GetInvocationList();
            }
            return _each[(int)kind];
        }

        static void Call(Delegate handler, Note note)
        {
            switch (note.Kind)
            {
                case NoteKind.Joined: ((Action)handler)(); break;
                case NoteKind.Entered:
                case NoteKind.Left: ((Action<ZoneEntity>)handler)((ZoneEntity)note.Subject); break;
                case NoteKind.Ticked: ((Action<ZoneUpdate>)handler)((ZoneUpdate)note.Subject); break;
                case NoteKind.Heard:
                    ((Action<string, ZoneEntity, object[]>)handler)(note.Text, (ZoneEntity)note.Subject, note.Values);
                    break;
                case NoteKind.Told: ((Action<string, object[]>)handler)(note.Text, note.Values); break;
                case NoteKind.Refused: ((Action<ZoneRefusal>)handler)((ZoneRefusal)note.Subject); break;
                case NoteKind.Answered: ((Action<long, object[]>)handler)(note.Seq, note.Values); break;
                case NoteKind.Dropped:
                case NoteKind.Closed: ((Action<ZoneEnd>)handler)((ZoneEnd)note.Subject); break;
                case NoteKind.Back: ((Action<ZoneReturn>)handler)((ZoneReturn)note.Subject); break;
                case NoteKind.Diverged: ((Action<long>)handler)(note.Seq); break;
                case NoteKind.Outcome: ((Action<ZoneOutcome>)handler)((ZoneOutcome)note.Subject); break;
            }
        }
    }

    // ----- The state -------------------------------------------------------------------------------------------------

    /// <summary>The state of the zone, in columns by slot. Read it; the client writes it. A column may become another
    /// array when the zone grows, so take it anew in each frame. Slots from Count on are free.</summary>
    public sealed class ZoneState
    {
        const int SlotsMax = 65536;
        // Nothing is known of the motion before the present one.
        const uint Never = uint.MaxValue;

        public int Width { get; private set; }
        public int Height { get; private set; }
        /// <summary>What can hold a slot, by kind: players are kind 0.</summary>
        public ZoneKind[] Kinds { get; private set; }
        public string[] BoardNames { get; private set; }
        /// <summary>The entries of the board, each a long or a string.</summary>
        public object[] Board { get; private set; }
        /// <summary>The tick at whose end the zone had this state.</summary>
        public long Tick { get; private set; }
        /// <summary>The highest slot in use, plus one.</summary>
        public int Count { get; private set; }

        /// <summary>The name of the player in each slot, or null.</summary>
        public string[] Names = new string[0];
        /// <summary>The kind of what holds each slot: 0 for a player, -1 for a free slot.</summary>
        public int[] KindOf = new int[0];
        public ZoneEntity[] Entities = new ZoneEntity[0];
        /// <summary>The present motion: the position at the end of tick Since, and the velocity since then.</summary>
        public int[] X = new int[0], Y = new int[0];
        public sbyte[] Vx = new sbyte[0], Vy = new sbyte[0];
        public uint[] Since = new uint[0];
        /// <summary>The motion before the present one, to draw ticks before Since.</summary>
        public int[] FromX = new int[0], FromY = new int[0];
        public sbyte[] FromVx = new sbyte[0], FromVy = new sbyte[0];
        public uint[] FromSince = new uint[0];
        /// <summary>The low byte of the sequence of each player's newest public action.</summary>
        public byte[] Seq = new byte[0];
        /// <summary>Column i is stat i of whatever holds the slot: see ZoneKind.StatIndex.</summary>
        public int[][] Stats = new int[0][];

        internal bool HasState;
        // The players and things that came and went with the newest snapshot or frame.
        internal readonly List<ZoneEntity> Came = new List<ZoneEntity>(), Went = new List<ZoneEntity>();

        int _hz = 1, _step = 1;
        object[] _firstBoard;
        // The slots of which an event of this tick has told.
        readonly HashSet<int> _told = new HashSet<int>();
        byte[] _hashed = new byte[1024];

        internal ZoneState()
        {
            Kinds = new ZoneKind[0];
            BoardNames = new string[0];
            Board = new object[0];
        }

        internal void Configure(Welcome welcome)
        {
            Width = welcome.Width;
            Height = welcome.Height;
            Kinds = welcome.Kinds;
            BoardNames = welcome.BoardNames;
            Board = _firstBoard = welcome.Board;
            _hz = welcome.Hz;
            _step = welcome.SpeedStep;
            HasState = false;
        }

        /// <summary>The position at the end of the newest tick, exactly as the server has it.</summary>
        public void Position(int slot, out int x, out int y)
        {
            long ticks = Tick - Since[slot];
            x = Along(X[slot], Vx[slot], ticks, Width);
            y = Along(Y[slot], Vy[slot], ticks, Height);
        }

        int Along(long start, long velocity, long ticks, long most)
        {
            // The division rounds towards zero.
            long at = start + velocity * _step * ticks / _hz;
            return (int)(at < 0 ? 0 : at > most ? most : at);
        }

        /// <summary>The position at any tick and between ticks, to draw it.</summary>
        public void Position(int slot, double tick, out double x, out double y)
        {
            x = y = 0;
            if (slot < 0 || slot >= Count) return;
            if (tick >= Since[slot])
            {
                double steps = (tick - Since[slot]) * _step / _hz;
                x = Clamp(X[slot] + Vx[slot] * steps, Width);
                y = Clamp(Y[slot] + Vy[slot] * steps, Height);
            }
            else if (FromSince[slot] == Never)
            {
                x = X[slot];
                y = Y[slot];
            }
            else
            {
                double steps = Math.Max(0, tick - FromSince[slot]) * _step / _hz;
                x = Clamp(FromX[slot] + FromVx[slot] * steps, Width);
                y = Clamp(FromY[slot] + FromVy[slot] * steps, Height);
            }
        }

        static double Clamp(double value, double most) { return value < 0 ? 0 : value > most ? most : value; }

        // --- Changes ---

        internal void Restore(Snapshot snapshot)
        {
            if (snapshot.Stats.Length != StatsCount() || snapshot.Board.Length != BoardNames.Length)
                throw new ZoneWireException("a snapshot of another zone: its stats or its board do not fit");
            int count = snapshot.Count;
            for (int slot = 0; slot < count; slot++)
                if (snapshot.KindOf[slot] >= Kinds.Length)
                    throw new ZoneWireException("a snapshot with a kind that WELCOME did not name");
            Came.Clear();
            Went.Clear();
            ZoneEntity[] entities = Entities;
            int before = Count;
            Entities = new ZoneEntity[count];
            int[] fromX = new int[count], fromY = new int[count];
            sbyte[] fromVx = new sbyte[count], fromVy = new sbyte[count];
            uint[] fromSince = new uint[count];
            for (int slot = 0; slot < Math.Max(before, count); slot++)
            {
                ZoneEntity old = slot < before ? entities[slot] : null;
                if (slot < count) fromSince[slot] = Never;
                int kind = slot < count ? snapshot.KindOf[slot] : -1;
                if (old != null && kind >= 0 && old.Name == snapshot.Names[slot] && old.KindOf == Kinds[kind])
                {
                    Entities[slot] = old;
                    if (Since[slot] >= snapshot.Since[slot]) continue;
                    fromX[slot] = X[slot];
                    fromY[slot] = Y[slot];
                    fromVx[slot] = Vx[slot];
                    fromVy[slot] = Vy[slot];
                    fromSince[slot] = Since[slot];
                    continue;
                }
                if (old != null) Went.Add(old);
                if (kind >= 0) Came.Add(Entities[slot] = new ZoneEntity(this, slot, snapshot.Names[slot], Kinds[kind]));
            }
            Tick = snapshot.Tick;
            Count = count;
            Names = snapshot.Names;
            KindOf = snapshot.KindOf;
            X = snapshot.X;
            Y = snapshot.Y;
            Vx = snapshot.Vx;
            Vy = snapshot.Vy;
            Since = snapshot.Since;
            Seq = snapshot.Seq;
            FromX = fromX;
            FromY = fromY;
            FromVx = fromVx;
            FromVy = fromVy;
            FromSince = fromSince;
            Stats = snapshot.Stats;
            Board = snapshot.Board;
            HasState = true;
        }

        Snapshot Empty()
        {
            var empty = new Snapshot(0) { Stats = new int[StatsCount()][], Board = (object[])_firstBoard.Clone() };
            for (int i = 0; i < empty.Stats.Length; i++) empty.Stats[i] = new int[0];
            return empty;
        }

        int StatsCount()
        {
            int count = 0;
            foreach (ZoneKind kind in Kinds) count = Math.Max(count, kind.Stats.Length);
            return count;
        }

        internal void Apply(Frame frame)
        {
            Came.Clear();
            Went.Clear();
            // Before its first tick a zone is empty.
            if (!HasState && frame.Tick == 1) Restore(Empty());
            if (!HasState || frame.Tick != Tick + 1)
                throw new ZoneWireException("the frame of tick " + frame.Tick + " does not follow tick " + Tick);
            Tick = frame.Tick;
            _told.Clear();
            for (int i = 0; i < frame.Leaves.Count; i++) Leave(frame.Leaves[i]);
            for (int i = 0; i < frame.JoinSlots.Count; i++)
                Join(frame.JoinSlots[i], frame.JoinNames[i], frame.JoinKinds[i]);
            for (int i = 0; i < frame.Events.Count; i++)
            {
                FrameEvent each = frame.Events[i];
                if (each.Slot < 0) continue;
                Seq[InUse(each.Slot)] = (byte)each.Seq;
                _told.Add(each.Slot);
            }
            Motions acted = frame.Acted, steered = frame.Steered;
            for (int i = 0; i < acted.Slots.Count; i++)
            {
                int slot = InUse(acted.Slots[i]);
                Move(slot, acted.Vx[i], acted.Vy[i]);
                byte seq = acted.Seq.Byte(i);
                // The motion and the last event may come from two actions: the newer one counts.
                if (!_told.Contains(slot) || ((seq - Seq[slot]) & 255) < 128) Seq[slot] = seq;
            }
            for (int i = 0; i < steered.Slots.Count; i++) Move(InUse(steered.Slots[i]), steered.Vx[i], steered.Vy[i]);
            List<int> placed = frame.Placed;
            for (int i = 0; i < placed.Count; i += 5)
            {
                int slot = InUse(placed[i]), x = placed[i + 1], y = placed[i + 2];
                if (x < 0 || y < 0 || x > Width || y > Height)
                    throw new ZoneWireException("a place outside of the zone");
                SetMotion(slot, x, y, placed[i + 3], placed[i + 4]);
            }
            List<int> stats = frame.Stats;
            for (int i = 0; i < stats.Count; i += 3)
            {
                if (stats[i + 1] < 0 || stats[i + 1] >= Stats.Length)
                    throw new ZoneWireException("a stat that WELCOME did not name");
                Stats[stats[i + 1]][InUse(stats[i])] = stats[i + 2];
            }
            for (int i = 0; i < frame.BoardIndexes.Count; i++)
            {
                int index = frame.BoardIndexes[i];
                if (index < 0 || index >= Board.Length)
                    throw new ZoneWireException("an entry that the board does not have");
                Board[index] = frame.BoardValues[i];
            }
        }

        int InUse(int slot)
        {
            if (slot < 0 || slot >= Count || KindOf[slot] < 0) throw new ZoneWireException("slot " + slot + " is free");
            return slot;
        }

        void Leave(int slot)
        {
            Went.Add(Entities[InUse(slot)]);
            Clear(slot);
            Entities[slot] = null;
            Names[slot] = null;
            KindOf[slot] = -1;
            while (Count > 0 && KindOf[Count - 1] < 0) Count--;
        }

        void Clear(int slot)
        {
            X[slot] = Y[slot] = 0;
            Vx[slot] = Vy[slot] = 0;
            Since[slot] = 0;
            Seq[slot] = 0;
            FromSince[slot] = Never;
            foreach (int[] column in Stats) column[slot] = 0;
        }

        void Join(int slot, string name, int kind)
        {
            if (slot < 0 || slot >= SlotsMax || (slot < Count && KindOf[slot] >= 0))
                throw new ZoneWireException("slot " + slot + " is taken");
            if (kind >= Kinds.Length) throw new ZoneWireException("a kind that WELCOME did not name");
            if (slot >= KindOf.Length) Grow(Math.Min(SlotsMax, Math.Max(slot + 1, 2 * KindOf.Length)));
            for (; Count <= slot; Count++)
            {
                KindOf[Count] = -1;
                FromSince[Count] = Never;
            }
            Clear(slot);
            Names[slot] = name;
            KindOf[slot] = kind;
            Since[slot] = (uint)Tick;
            int[] firsts = Kinds[kind].Firsts;
            for (int i = 0; i < firsts.Length; i++) Stats[i][slot] = firsts[i];
            Came.Add(Entities[slot] = new ZoneEntity(this, slot, name, Kinds[kind]));
        }

        void Grow(int size)
        {
            Array.Resize(ref Names, size);
            Array.Resize(ref KindOf, size);
            Array.Resize(ref Entities, size);
            Array.Resize(ref X, size);
            Array.Resize(ref Y, size);
            Array.Resize(ref Vx, size);
            Array.Resize(ref Vy, size);
            Array.Resize(ref Since, size);
            Array.Resize(ref FromX, size);
            Array.Resize(ref FromY, size);
            Array.Resize(ref FromVx, size);
            Array.Resize(ref FromVy, size);
            Array.Resize(ref FromSince, size);
            Array.Resize(ref Seq, size);
            for (int i = 0; i < Stats.Length; i++) Array.Resize(ref Stats[i], size);
        }

        void Move(int slot, int vx, int vy)
        {
            int x, y;
            Position(slot, out x, out y);
            SetMotion(slot, x, y, vx, vy);
        }

        void SetMotion(int slot, int x, int y, int vx, int vy)
        {
            if (vx < -127 || vx > 127 || vy < -127 || vy > 127) throw new ZoneWireException("a velocity beyond 127");
            if (Since[slot] != (uint)Tick)
            {
                FromX[slot] = X[slot];
                FromY[slot] = Y[slot];
                FromVx[slot] = Vx[slot];
                FromVy[slot] = Vy[slot];
                FromSince[slot] = Since[slot];
            }
            X[slot] = x;
            Y[slot] = y;
            Vx[slot] = (sbyte)vx;
            Vy[slot] = (sbyte)vy;
            Since[slot] = (uint)Tick;
        }

        // --- The hash ---

        /// <summary>The state hash: CRC-32 over the holders, all columns but Seq, and the board.</summary>
        public uint Hash()
        {
            int length = 0;
            for (int slot = 0; slot < Count; slot++)
            {
                int kind = KindOf[slot];
                string text = kind < 0 ? "" : kind == 0 ? Names[slot] : "\u0001" + Kinds[kind].Name;
                if (slot > 0) text = "\0" + text;
                length = Put(text, length);
            }
            uint crc = Crc32.Add(0, _hashed, length);
            crc = Add(crc, X, 4);
            crc = Add(crc, Y, 4);
            crc = Add(crc, Vx, 1);
            crc = Add(crc, Vy, 1);
            crc = Add(crc, Since, 4);
            foreach (int[] column in Stats) crc = Add(crc, column, 4);
            length = 0;
            foreach (object value in Board)
            {
                string text = value as string;
                length = Put("\0" + (text ?? ((long)value).ToString(CultureInfo.InvariantCulture)), length);
            }
            return Crc32.Add(crc, _hashed, length);
        }

        int Put(string text, int at)
        {
            int most = at + 3 * text.Length;
            if (_hashed.Length < most) Array.Resize(ref _hashed, 2 * most);
            return at + Wire.Utf8.GetBytes(text, 0, text.Length, _hashed, at);
        }

        uint Add(uint crc, Array column, int size)
        {
            int bytes = Count * size;
            if (_hashed.Length < bytes) Array.Resize(ref _hashed, 2 * bytes);
            Buffer.BlockCopy(column, 0, _hashed, 0, bytes);
            return Crc32.Add(crc, _hashed, bytes);
        }
    }

    internal static class Crc32
    {
        static readonly uint[] Table = MakeTable();

        static uint[] MakeTable()
        {
            var table = new uint[256];
            for (uint i = 0; i < 256; i++)
            {
                uint value = i;
                for (int bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? value >> 1 ^ 0xEDB88320u : value >> 1;
                table[i] = value;
            }
            return table;
        }

        public static uint Add(uint crc, byte[] data, int length)
        {
            uint[] table = Table;
            crc = ~crc;
            for (int i = 0; i < length; i++) crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
            return ~crc;
        }
    }

    // ----- The clock -------------------------------------------------------------------------------------------------

    /// <summary>Where a zone is in time, from what arrives and when. The zone cannot be behind a tick whose frame has
    /// arrived, and a PONG bounds it from both sides; the bounds run on at the rate of the zone. Times are in
    /// seconds.</summary>
    public sealed class ZoneClock
    {
        // The bounds drift apart by this part of the full rate: dilation is told in whole percent, and clocks differ.
        const double Drift = 0.005;
        // How long the clock runs on without a frame.
        const double OverdueSeconds = 0.5;
        // How fast a wrong picture is set right: it runs up to 2 % faster or 4 % slower.
        const double Faster = 0.02, Slower = 0.04, Correction = 0.1;
        const double JitterSeconds = 2;

        static readonly double Frequency = Stopwatch.Frequency;

        int _hz = 1;
        // Ticks per second at the present dilation.
        double _rate = 1;
        // The zone is between these ticks at the moment _at.
        double _low, _high = double.PositiveInfinity, _at;
        long _newest;
        // The newest answers.
        double _shown, _drawn, _drawnAt;
        double _jitter;
        double _jitterAt;
        bool _isNew = true;

        internal ZoneClock() { Rtt = -1; }

        /// <summary>The present moment, in seconds of a clock that does not jump.</summary>
        public static double Time { get { return Stopwatch.GetTimestamp() / Frequency; } }

        /// <summary>Seconds of the last round trip; below 0 before the first.</summary>
        public double Rtt { get; private set; }
        /// <summary>How many ticks later than the quickest ones frames arrive.</summary>
        public double Jitter { get { return _jitter; } }

        internal void Configure(int hz)
        {
            _hz = hz;
            _rate = hz;
            _isNew = true;
        }

        /// <summary>WELCOME named this tick.</summary>
        internal void Arrived(long tick, double now)
        {
            if (_isNew) Restart(tick, now);
        }

        /// <summary>The zone goes on from this tick, an earlier one than before.</summary>
        internal void Restart(long tick, double now)
        {
            _isNew = false;
            _low = _shown = tick;
            _high = double.PositiveInfinity;
            _at = _drawnAt = _jitterAt = now;
            _newest = tick;
            _drawn = tick - 1;
            _jitter = 0;
        }

        internal void TickArrived(long tick, double dilation, double now)
        {
            Advance(now);
            // An arrival that is told late counts as of the moment that the bounds have reached.
            double low = tick + _rate * (_at - now);
            double late = _low - low;
            // A longer silence is an interruption, and no jitter.
            if (tick > _newest && late < OverdueSeconds * _rate)
            {
                if (late > _jitter) _jitter = late;
                else _jitter += (late - _jitter) * Math.Min(1, Math.Max(0, now - _jitterAt) / JitterSeconds);
                if (_jitter < 0) _jitter = 0;
                _jitterAt = now;
            }
            _newest = Math.Max(_newest, tick);
            _rate = _hz * dilation;
            _low = Math.Max(_low, low);
            _high = Math.Max(_high, _low);
        }

        internal void PongArrived(long tick, long microseconds, double sent, double now)
        {
            Advance(now);
            Rtt = Math.Max(0, now - sent);
            _newest = Math.Max(_newest, tick);
            double low = tick + Math.Min(1, microseconds * 1e-6 * _rate) + _rate * (_at - now);
            double high = low + Rtt * _rate;
            if (low > _high || high < _low)
            {
                // The bounds ran at a wrong rate, or the zone stood still.
                _low = low;
                _high = high;
            }
            else
            {
                _low = Math.Max(_low, low);
                _high = Math.Min(_high, high);
            }
        }

        void Advance(double now)
        {
            double seconds = now - _at;
            if (seconds <= 0) return;
            _at = now;
            _low += seconds * Math.Max(0, _rate - Drift * _hz);
            _high += seconds * (_rate + Drift * _hz);
        }

        /// <summary>The tick in which the zone is now. It never decreases, unless the zone begins again.</summary>
        internal double Now(double now)
        {
            Advance(now);
            double middle = double.IsInfinity(_high) ? _low : (_low + _high) / 2;
            _shown = Math.Max(_shown, Math.Min(middle, Latest()));
            return _shown;
        }

        /// <summary>The tick to draw: one tick and the jitter behind the frames. It never decreases, unless the zone
        /// begins again.</summary>
        internal double Drawn(double now)
        {
            Advance(now);
            double reach = Math.Min(_low, Latest());
            double target = reach - 1 - _jitter;
            double seconds = Math.Max(0, now - _drawnAt);
            _drawnAt = Math.Max(_drawnAt, now);
            double error = target - (_drawn + seconds * _rate);
            if (error > OverdueSeconds * _rate)
            {
                _drawn = target;
            }
            else
            {
                double pace = 1 + Math.Max(-Slower, Math.Min(Faster, error * Correction));
                _drawn = Math.Max(_drawn, Math.Min(_drawn + seconds * _rate * pace, reach));
            }
            return _drawn;
        }

        /// <summary>Beyond this tick the next frame would have arrived.</summary>
        double Latest() { return _newest + 1 + _rate * (Math.Max(0, Rtt) + OverdueSeconds); }
    }

    // ----- One's own actions -----------------------------------------------------------------------------------------

    /// <summary>What became of one's own actions: the procedure that PROTOCOL.md prints. Frames name an action by the
    /// low byte of its sequence; with fewer than 256 that wait, that tells which one is meant.</summary>
    internal sealed class Outcomes
    {
        const int WaitingMax = 255;

        struct Waiting { public long Seq; public byte[] Action; }

        // In rising order.
        readonly List<Waiting> _waiting = new List<Waiting>();
        List<ZoneOutcome> _settled = new List<ZoneOutcome>();
        readonly List<long> _found = new List<long>();
        // The newest public action that is known to have happened, and the first one that a mute drops.
        long _known, _muted;
        string _mutedText = "";
        // The newest action that the zone had taken at a return, and the tick by which its outcome comes.
        long _takenSeq, _until;

        public int Count { get { return _waiting.Count; } }

        public long WaitingSeq(int index) { return _waiting[index].Seq; }

        /// <summary>The outcomes since the last call. The list holds until the next call.</summary>
        public List<ZoneOutcome> Take()
        {
            if (_settled.Count == 0) return None;
            List<ZoneOutcome> settled = _settled;
            _settled = new List<ZoneOutcome>();
            return settled;
        }

        static readonly List<ZoneOutcome> None = new List<ZoneOutcome>();

        /// <summary>Whether a frame could tell this sequence from the others that wait. If not, it must not be
        /// sent.</summary>
        public bool HasRoom(long seq) { return _waiting.Count == 0 || seq - _waiting[0].Seq < WaitingMax; }

        /// <summary>An action was sent.</summary>
        public void Sent(long seq, byte[] action)
        {
            for (int i = _waiting.Count - 1; i >= 0 && _waiting[i].Seq >= seq; i--)
                if (_waiting[i].Seq == seq) return;
            _waiting.Add(new Waiting { Seq = seq, Action = action });
        }

        public void CopyWaiting(long above, Action<long, byte[]> copy)
        {
            foreach (Waiting each in _waiting)
                if (each.Seq > above) copy(each.Seq, each.Action);
        }

        public void Answered(long seq, object[] values)
        {
            int index = IndexOf(seq);
            if (index >= 0) Settle(index, ZoneFate.Answered, "", "", values);
        }

        public void Refused(long seq, string code, string text)
        {
            switch (code)
            {
                case "WARNED":
                    break;
                case "MUTED":
                    _muted = seq;
                    _mutedText = text;
                    break;
                case "UNMUTED":
                    for (int i = 0; i < _waiting.Count;)
                    {
                        if (_waiting[i].Seq < _muted || _waiting[i].Seq > seq) i++;
                        else Settle(i, ZoneFate.Dropped, "MUTED", _mutedText);
                    }
                    break;
                default:
                    int index = IndexOf(seq);
                    if (index >= 0) Settle(index, ZoneFate.Refused, code, text);
                    break;
            }
        }

        public void InFrame(Frame frame, int slot)
        {
            // An action may stand in a frame several times: it is settled only when all of them have been read.
            _found.Clear();
            int at = frame.Acted.Slots.BinarySearch(slot);
            if (at >= 0) Find(frame.Acted.Seq.Byte(at));
            for (int i = 0; i < frame.Events.Count; i++)
                if (frame.Events[i].Slot == slot) Find((int)(frame.Events[i].Seq & 255));
            if (_found.Count == 0) return;
            long newest = 0;
            foreach (long seq in _found)
            {
                newest = Math.Max(newest, seq);
                int index = IndexOf(seq);
                if (index >= 0) Settle(index, ZoneFate.Happened);
            }
            while (_waiting.Count > 0 && _waiting[0].Seq < newest) Settle(0, ZoneFate.Superseded);
            _known = newest;
        }

        void Find(int low)
        {
            foreach (Waiting each in _waiting)
            {
                if ((each.Seq & 255) != low) continue;
                _found.Add(each.Seq);
                return;
            }
        }

        public void InSnapshot(int low)
        {
            // The newest action that a frame has told, or none at all.
            if (low == (_known & 255)) return;
            for (int i = _waiting.Count - 1; i >= 0; i--)
            {
                if ((_waiting[i].Seq & 255) != low) continue;
                _known = _waiting[i].Seq;
                for (; i >= 0; i--) Settle(0, ZoneFate.Past);
                return;
            }
        }

        /// <summary>The zone has taken the actions up to `seq`: their outcomes come by the tick `until`, or are
        /// lost.</summary>
        public void Resumed(long seq, long until)
        {
            _takenSeq = seq;
            _until = until;
        }

        public void GiveUp(long tick)
        {
            if (_takenSeq == 0 || tick < _until) return;
            while (_waiting.Count > 0 && _waiting[0].Seq <= _takenSeq) Settle(0, ZoneFate.Past);
            _takenSeq = 0;
        }

        public void Fail(ZoneFate fate, string code, string text)
        {
            while (_waiting.Count > 0) Settle(0, fate, code, text);
        }

        /// <summary>A new player begins, with no action.</summary>
        public void Reset(string code, string text)
        {
            Fail(ZoneFate.Refused, code, text);
            _known = _muted = _takenSeq = 0;
        }

        int IndexOf(long seq)
        {
            for (int i = 0; i < _waiting.Count; i++)
                if (_waiting[i].Seq == seq) return i;
            return -1;
        }

        void Settle(int index, ZoneFate fate, string code = "", string text = "", object[] values = null)
        {
            _settled.Add(new ZoneOutcome(_waiting[index].Seq, fate, code, text, values));
            _waiting.RemoveAt(index);
        }
    }

    /// <summary>The messages to this player alone that wait for the frame of their tick. When the connection was lost,
    /// the server sends those of later ticks again: they count once.</summary>
    internal sealed class PrivateMessages
    {
        struct Item { public Message Message; public byte[] Payload; }

        readonly List<Item> _items = new List<Item>();
        // The payloads that may come again.
        readonly List<byte[]> _again = new List<byte[]>();
        readonly List<Message> _taken = new List<Message>();

        public int Bytes { get; private set; }

        public bool Add(Message message, byte[] payload)
        {
            for (int i = 0; i < _again.Count; i++)
            {
                if (!AreEqual(_again[i], payload)) continue;
                _again.RemoveAt(i);
                return false;
            }
            _items.Add(new Item { Message = message, Payload = payload });
            Bytes += MessageBytes + payload.Length;
            return true;
        }

        const int MessageBytes = 256;

        static bool AreEqual(byte[] one, byte[] other)
        {
            if (one.Length != other.Length) return false;
            for (int i = 0; i < one.Length; i++)
                if (one[i] != other[i]) return false;
            return true;
        }

        /// <summary>The connection was lost: these come again, those behind the snapshot of their own tick too.</summary>
        public void ExpectAgain()
        {
            _again.Clear();
            foreach (Item item in _items) _again.Add(item.Payload);
        }

        /// <summary>Takes those up to a tick, in order. The list holds until the next call.</summary>
        public List<Message> Take(long tick)
        {
            _taken.Clear();
            _again.Clear();
            int kept = 0;
            Bytes = 0;
            for (int i = 0; i < _items.Count; i++)
            {
                if (_items[i].Message.Tick <= tick)
                {
                    _taken.Add(_items[i].Message);
                    continue;
                }
                Bytes += MessageBytes + _items[i].Payload.Length;
                _items[kept++] = _items[i];
            }
            _items.RemoveRange(kept, _items.Count - kept);
            return _taken;
        }

        public void Clear()
        {
            _items.Clear();
            _again.Clear();
            Bytes = 0;
        }
    }

    // ----- Messages --------------------------------------------------------------------------------------------------

    internal static class Op
    {
        public const byte Hello = 1, Act = 2, Ping = 3, Goodbye = 4, Resume = 5;
        public const byte Welcome = 16, Snapshot = 17, Tick = 18, Pong = 19, Refused = 20, Bye = 21, Deflated = 22;
        public const byte Told = 23, Answered = 24;
    }

    internal static class Messages
    {
        public static byte[] Hello(string name, byte[] ticket, List<string> options, string gameVersion)
        {
            var writer = new WireWriter();
            writer.Message(6, Op.Hello);
            writer.Integer(ZoneClient.Version);
            writer.Text(name);
            writer.Bin(ticket);
            Rest(writer, options, gameVersion);
            return writer.ToArray();
        }

        public static byte[] Resume(
            string name, byte[] token, long epoch, long tick, List<string> options, string gameVersion)
        {
            var writer = new WireWriter();
            writer.Message(8, Op.Resume);
            writer.Integer(ZoneClient.Version);
            writer.Text(name);
            writer.Bin(token);
            writer.Integer(epoch);
            writer.Integer(tick);
            Rest(writer, options, gameVersion);
            return writer.ToArray();
        }

        static void Rest(WireWriter writer, List<string> options, string gameVersion)
        {
            writer.Array(options.Count);
            foreach (string option in options) writer.Text(option);
            writer.Text(gameVersion);
        }
    }

    /// <summary>A message of the server. Which fields are set depends on the op.</summary>
    internal sealed class Message
    {
        public byte Op;
        public long Tick, Seq, Token, Microseconds;
        public string Code, Text, Kind;
        public bool Retry;
        public object[] Values;
        public byte[] Data;
        public Welcome Welcome;
        public Snapshot Snapshot;
        public Frame Frame;
        // What it says of one's own actions.
        public List<ZoneOutcome> Outcomes;
    }

    internal sealed class Welcome
    {
        public long Version, Tick;
        public int Slot = -1;
        public string Game, GameVersion;
        public int Hz, Width, Height, SpeedStep;
        public ZoneKind[] Kinds;
        public string[] BoardNames;
        public object[] Board;
        public int PayloadMax, ActionsMax;
        public string[] Options;
        // Null where nobody comes back.
        public byte[] Token;
        public long Grace, Epoch, Seq;

        public bool IsSameZone(Welcome other)
        {
            if (Hz != other.Hz || Width != other.Width || Height != other.Height || SpeedStep != other.SpeedStep)
                return false;
            if (Kinds.Length != other.Kinds.Length || BoardNames.Length != other.BoardNames.Length) return false;
            for (int i = 0; i < Kinds.Length; i++)
                if (!Kinds[i].Equals(other.Kinds[i])) return false;
            for (int i = 0; i < BoardNames.Length; i++)
                if (BoardNames[i] != other.BoardNames[i]) return false;
            return true;
        }
    }

    internal sealed class Snapshot
    {
        public long Tick;
        public readonly int Count;
        public readonly string[] Names;
        public readonly int[] KindOf;
        public readonly int[] X, Y;
        public readonly sbyte[] Vx, Vy;
        public readonly uint[] Since;
        public readonly byte[] Seq;
        public int[][] Stats;
        public object[] Board;

        public Snapshot(int count)
        {
            Count = count;
            Names = new string[count];
            KindOf = new int[count];
            X = new int[count];
            Y = new int[count];
            Vx = new sbyte[count];
            Vy = new sbyte[count];
            Since = new uint[count];
            Seq = new byte[count];
        }
    }

    /// <summary>A column of bytes within a payload.</summary>
    internal struct ByteColumn
    {
        public byte[] Data;
        public int At;
        public int Length;

        public byte Byte(int index) { return Data[At + index]; }
        public sbyte this[int index] { get { return (sbyte)Data[At + index]; } }
    }

    internal sealed class Motions
    {
        public readonly List<int> Slots = new List<int>();
        public ByteColumn Seq, Vx, Vy;
    }

    internal struct FrameEvent
    {
        // -1 for an event of the game itself.
        public int Slot;
        public long Seq;
        public string Kind;
        public object[] Values;
    }

    /// <summary>A TICK. It is used again for the next one, and its columns lie in the payload.</summary>
    internal sealed class Frame
    {
        public long Tick;
        public int Dilation;
        // -1 if the frame has none.
        public long Hash;
        public readonly List<int> Leaves = new List<int>(), JoinSlots = new List<int>(), JoinKinds = new List<int>();
        public readonly List<string> JoinNames = new List<string>();
        public readonly Motions Acted = new Motions(), Steered = new Motions();
        public readonly List<int> Placed = new List<int>(), Stats = new List<int>(), BoardIndexes = new List<int>();
        public readonly List<object> BoardValues = new List<object>();
        public readonly List<FrameEvent> Events = new List<FrameEvent>();
    }

    /// <summary>Reads messages of the server: untrusted bytes in, a message or ZoneWireException out.</summary>
    internal sealed class MessageDecoder
    {
        public const int PayloadMax = 16 * 1024 * 1024;
        const int SmallMax = 256 * 1024;
        const int SlotsMax = 65536, KindsMax = 256, StatsMax = 256, BoardMax = 256;
        const long BoardIntegerMax = (1L << 53) - 1;

        readonly WireReader _reader = new WireReader();
        readonly Frame _frame = new Frame();
        readonly Message _tick = new Message { Op = Op.Tick };
        byte[] _inflated = new byte[0];

        /// <summary>The message in a payload, inflated if it was deflated; null for one of a later version.</summary>
        public Message Read(byte[] payload, bool mayBeDeflated)
        {
            Message message = ReadPlain(payload, payload.Length);
            if (message == null || message.Op != Op.Deflated) return message;
            if (!mayBeDeflated) throw new ZoneWireException("it sent a deflated message without being asked to");
            int length = Inflate(message.Data);
            if (length < 2 || (_inflated[1] != Op.Snapshot && _inflated[1] != Op.Tick))
                throw new ZoneWireException("a deflated message that is neither SNAPSHOT nor TICK");
            return ReadPlain(_inflated, length);
        }

        int Inflate(byte[] data)
        {
            if (_inflated.Length < 65536) _inflated = new byte[65536];
            int length = 0;
            try
            {
                using (var stream = new DeflateStream(new MemoryStream(data), CompressionMode.Decompress))
                {
                    while (true)
                    {
                        int read = stream.Read(_inflated, length, _inflated.Length - length);
                        if (read <= 0) return length;
                        length += read;
                        if (length > PayloadMax)
                            throw new ZoneWireException("a message that inflates to more than 16 MiB");
                        if (length == _inflated.Length) Array.Resize(ref _inflated, 2 * length);
                    }
                }
            }
            catch (Exception error) when (error is IOException || error is InvalidDataException)
            {
                throw new ZoneWireException("a message that does not inflate: " + error.Message);
            }
        }

        /// <summary>Reads as Read does, but leaves a DEFLATED as it is.</summary>
        public Message ReadPlain(byte[] payload, int length)
        {
            if (length < 2 || (payload[0] & 0xF0) != 0x90 || payload[1] > 0x7F)
                throw new ZoneWireException("no message: an array with an op was expected");
            int elements = (payload[0] & 0x0F) - 1;
            byte op = payload[1];
            if (op > Op.Answered) return null;
            if (length > SmallMax && op != Op.Snapshot && op != Op.Tick && op != Op.Deflated)
                throw new ZoneWireException("a message " + op + " of " + length + " bytes");
            _reader.Begin(payload, 2, length);
            Message message = op == Op.Tick ? _tick : new Message { Op = op };
            int read = ReadElements(message, elements);
            // Later versions may have more elements.
            for (; read < elements; read++) _reader.Value();
            _reader.End();
            return message;
        }

        int ReadElements(Message message, int elements)
        {
            switch (message.Op)
            {
                case Op.Welcome:
                    Need(elements, 10);
                    message.Welcome = ReadWelcome();
                    return 10;
                case Op.Snapshot:
                    Need(elements, 5);
                    message.Snapshot = ReadSnapshot();
                    return 5;
                case Op.Tick:
                    Need(elements, 11);
                    ReadFrame();
                    message.Frame = _frame;
                    return 11;
                case Op.Pong:
                    Need(elements, 3);
                    message.Token = _reader.Integer();
                    message.Tick = _reader.Unsigned32();
                    message.Microseconds = _reader.Integer();
                    return 3;
                case Op.Refused:
                    Need(elements, 4);
                    message.Tick = _reader.Integer();
                    message.Seq = _reader.Integer();
                    message.Code = _reader.Text();
                    message.Text = _reader.Text();
                    return 4;
                case Op.Bye:
                    Need(elements, 3);
                    message.Code = _reader.Text();
                    message.Text = _reader.Text();
                    message.Retry = _reader.Bool();
                    return 3;
                case Op.Deflated:
                    Need(elements, 1);
                    message.Data = _reader.Bin();
                    return 1;
                case Op.Told:
                    Need(elements, 3);
                    message.Tick = _reader.Integer();
                    message.Kind = _reader.Text();
                    message.Values = _reader.Values();
                    return 3;
                case Op.Answered:
                    Need(elements, 3);
                    message.Tick = _reader.Integer();
                    message.Seq = _reader.Integer();
                    message.Values = _reader.Values();
                    return 3;
                default:
                    throw new ZoneWireException("a message " + message.Op + ", which no server sends");
            }
        }

        static void Need(int elements, int count)
        {
            if (elements < count)
                throw new ZoneWireException("a message of " + elements + " elements, and not " + count);
        }

        Welcome ReadWelcome()
        {
            var welcome = new Welcome { Version = _reader.Integer() };
            welcome.Slot = _reader.Nil() ? -1 : _reader.Integer(0, SlotsMax - 1);
            welcome.Tick = _reader.Unsigned32();
            _reader.ArrayOf(2);
            welcome.Game = _reader.Text();
            welcome.GameVersion = _reader.Text();
            _reader.ArrayOf(4);
            welcome.Hz = _reader.Integer(1, int.MaxValue);
            welcome.Width = _reader.Integer(0, int.MaxValue);
            welcome.Height = _reader.Integer(0, int.MaxValue);
            welcome.SpeedStep = _reader.Integer(1, int.MaxValue);
            welcome.Kinds = new ZoneKind[_reader.Array(1, KindsMax)];
            for (int kind = 0; kind < welcome.Kinds.Length; kind++)
            {
                _reader.ArrayOf(2);
                string name = _reader.Text();
                int count = _reader.Array(0, StatsMax);
                var stats = new string[count];
                var firsts = new int[count];
                for (int i = 0; i < count; i++)
                {
                    _reader.ArrayOf(2);
                    stats[i] = _reader.Text();
                    firsts[i] = _reader.Integer(int.MinValue, int.MaxValue);
                }
                welcome.Kinds[kind] = new ZoneKind(name, stats, firsts);
            }
            int entries = _reader.Array(0, BoardMax);
            welcome.BoardNames = new string[entries];
            welcome.Board = new object[entries];
            for (int i = 0; i < entries; i++)
            {
                _reader.ArrayOf(2);
                welcome.BoardNames[i] = _reader.Text();
                welcome.Board[i] = OnBoard();
            }
            _reader.ArrayOf(2);
            welcome.PayloadMax = _reader.Integer(1, int.MaxValue);
            welcome.ActionsMax = _reader.Integer(1, int.MaxValue);
            welcome.Options = new string[_reader.Array(0, 256)];
            for (int i = 0; i < welcome.Options.Length; i++) welcome.Options[i] = _reader.Text();
            if (_reader.Nil()) return welcome;
            int parts = _reader.Array(4, 16);
            welcome.Token = _reader.Bin();
            if (welcome.Token.Length != 16)
                throw new ZoneWireException("a token of " + welcome.Token.Length + " bytes");
            welcome.Grace = _reader.Integer();
            welcome.Epoch = _reader.Unsigned32();
            welcome.Seq = _reader.Unsigned32();
            for (int i = 4; i < parts; i++) _reader.Value();
            return welcome;
        }

        object OnBoard()
        {
            object value = _reader.Value();
            string text = value as string;
            if (text != null && Wire.Utf8.GetByteCount(text) <= 256) return value;
            if (value is long && Math.Abs((long)value) <= BoardIntegerMax) return value;
            throw new ZoneWireException("a value of the board that is neither a whole number nor a short text");
        }

        Snapshot ReadSnapshot()
        {
            long tick = _reader.Unsigned32();
            int count = _reader.Array(0, SlotsMax);
            var snapshot = new Snapshot(count) { Tick = tick };
            for (int slot = 0; slot < count; slot++)
            {
                if (_reader.Nil()) snapshot.KindOf[slot] = -1;
                else snapshot.KindOf[slot] = Holder(out snapshot.Names[slot]);
            }
            _reader.ArrayOf(6);
            Column(snapshot.X, 4);
            Column(snapshot.Y, 4);
            Column(snapshot.Vx, 1);
            Column(snapshot.Vy, 1);
            Column(snapshot.Since, 4);
            Column(snapshot.Seq, 1);
            snapshot.Stats = new int[_reader.Array(0, StatsMax)][];
            for (int i = 0; i < snapshot.Stats.Length; i++) Column(snapshot.Stats[i] = new int[count], 4);
            snapshot.Board = new object[_reader.Array(0, BoardMax)];
            for (int i = 0; i < snapshot.Board.Length; i++) snapshot.Board[i] = OnBoard();
            return snapshot;
        }

        /// <summary>What holds a slot: the kind, which is 0 for a player with a name.</summary>
        int Holder(out string name)
        {
            name = null;
            if (!_reader.IsText) return _reader.Integer(1, int.MaxValue);
            name = _reader.Text();
            return 0;
        }

        void Column(Array column, int size)
        {
            int start, length;
            _reader.Bin(out start, out length);
            if (length != column.Length * size)
                throw new ZoneWireException("a column of " + length + " bytes for " + column.Length + " slots");
            Buffer.BlockCopy(_reader.Data, start, column, 0, length);
        }

        void ReadFrame()
        {
            Frame frame = _frame;
            frame.Tick = _reader.Unsigned32();
            frame.Dilation = _reader.Integer(1, 100);
            frame.Hash = _reader.Nil() ? -1 : _reader.Unsigned32();
            Integers(frame.Leaves, 1);
            frame.JoinSlots.Clear();
            frame.JoinNames.Clear();
            frame.JoinKinds.Clear();
            for (int records = Records(2); records > 0; records--)
            {
                string name;
                frame.JoinSlots.Add(_reader.Integer(0, SlotsMax - 1));
                frame.JoinKinds.Add(Holder(out name));
                frame.JoinNames.Add(name);
            }
            _reader.ArrayOf(4);
            Slots(frame.Acted.Slots);
            frame.Acted.Seq = Bytes(frame.Acted.Slots.Count);
            frame.Acted.Vx = Bytes(frame.Acted.Slots.Count);
            frame.Acted.Vy = Bytes(frame.Acted.Slots.Count);
            _reader.ArrayOf(3);
            Slots(frame.Steered.Slots);
            frame.Steered.Vx = Bytes(frame.Steered.Slots.Count);
            frame.Steered.Vy = Bytes(frame.Steered.Slots.Count);
            Integers(frame.Placed, 5);
            Integers(frame.Stats, 3);
            frame.BoardIndexes.Clear();
            frame.BoardValues.Clear();
            for (int records = Records(2); records > 0; records--)
            {
                frame.BoardIndexes.Add(_reader.Integer(int.MinValue, int.MaxValue));
                frame.BoardValues.Add(OnBoard());
            }
            frame.Events.Clear();
            for (int events = _reader.Array(0, int.MaxValue); events > 0; events--) frame.Events.Add(ReadEvent());
        }

        FrameEvent ReadEvent()
        {
            int elements = _reader.Array(3, int.MaxValue);
            var read = new FrameEvent { Slot = -1 };
            if (!_reader.Nil())
            {
                read.Slot = _reader.Integer(0, SlotsMax - 1);
                read.Seq = _reader.Integer();
            }
            else if (!_reader.Nil())
            {
                throw new ZoneWireException("an event with a sequence and without a player");
            }
            read.Kind = _reader.Text();
            read.Values = _reader.Values(elements - 3);
            return read;
        }

        int Records(int size)
        {
            int count = _reader.Array(0, int.MaxValue);
            if (count % size != 0) throw new ZoneWireException("the last record of a TICK is cut short");
            return count / size;
        }

        void Integers(List<int> list, int size)
        {
            list.Clear();
            for (int count = Records(size) * size; count > 0; count--)
                list.Add(_reader.Integer(int.MinValue, int.MaxValue));
        }

        void Slots(List<int> slots)
        {
            slots.Clear();
            int start, length;
            _reader.Bin(out start, out length);
            byte[] data = _reader.Data;
            if (length < 1 || data[start] > 1) throw new ZoneWireException("a set of slots is a bitmap or a list");
            if (data[start] == 0)
            {
                if (length > 1 + SlotsMax / 8) throw new ZoneWireException("a bitmap beyond the last slot");
                for (int i = 0; i < length - 1; i++)
                    for (int bits = data[start + 1 + i], bit = 0; bits != 0; bits >>= 1, bit++)
                        if ((bits & 1) != 0) slots.Add(8 * i + bit);
                return;
            }
            if (length % 2 == 0) throw new ZoneWireException("half a slot in a list of slots");
            for (int i = 1, last = -1; i < length; i += 2)
            {
                int slot = data[start + i] | data[start + i + 1] << 8;
                if (slot <= last) throw new ZoneWireException("a list of slots does not rise");
                slots.Add(last = slot);
            }
        }

        ByteColumn Bytes(int count)
        {
            int start, length;
            _reader.Bin(out start, out length);
            if (length != count)
                throw new ZoneWireException("a column of " + length + " bytes for " + count + " slots");
            return new ByteColumn { Data = _reader.Data, At = start, Length = length };
        }
    }

    // ----- MessagePack -----------------------------------------------------------------------------------------------

    internal static class Wire
    {
        /// <summary>UTF-8 that throws ArgumentException for anything else.</summary>
        public static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);
        // Most integers in events are small: they need no new object each.
        static readonly object[] Small = MakeSmall();
        public static readonly object True = true, False = false;

        static object[] MakeSmall()
        {
            var small = new object[288];
            for (int i = 0; i < small.Length; i++) small[i] = (long)(i - 32);
            return small;
        }

        public static object Boxed(long value) { return value >= -32 && value < 256 ? Small[value + 32] : value; }
    }

    /// <summary>Reads MessagePack within bounds. Anything else is a ZoneWireException.</summary>
    internal sealed class WireReader
    {
        const int ArrayMax = 524288, ElementsMax = 1048576, TextMax = 65536, DepthMax = 32;

        public byte[] Data { get; private set; }
        int _at, _end, _elements;

        public void Begin(byte[] data, int at, int end)
        {
            Data = data;
            _at = at;
            _end = end;
            _elements = 0;
        }

        public void End()
        {
            if (_at != _end) throw new ZoneWireException("more behind the message");
        }

        byte Next()
        {
            if (_at >= _end) throw new ZoneWireException("a message that is cut short");
            return Data[_at++];
        }

        ulong Big(int bytes)
        {
            if (_end - _at < bytes) throw new ZoneWireException("a message that is cut short");
            ulong value = 0;
            for (; bytes > 0; bytes--) value = value << 8 | Data[_at++];
            return value;
        }

        Exception Unexpected(byte first, string expected)
        {
            string found = " was expected at byte " + (_at - 1) + ", not " + first.ToString("x2");
            return new ZoneWireException(expected + found);
        }

        /// <summary>Takes a nil, if there is one.</summary>
        public bool Nil()
        {
            if (_at >= _end || Data[_at] != 0xC0) return false;
            _at++;
            return true;
        }

        public bool IsText
        {
            get { return _at < _end && (Data[_at] >> 5 == 5 || (Data[_at] >= 0xD9 && Data[_at] <= 0xDB)); }
        }

        public bool Bool()
        {
            byte first = Next();
            if (first != 0xC2 && first != 0xC3) throw Unexpected(first, "true or false");
            return first == 0xC3;
        }

        public long Integer()
        {
            byte first = Next();
            if (first < 0x80 || first >= 0xE0) return (sbyte)first;
            switch (first)
            {
                case 0xCC: return (long)Big(1);
                case 0xCD: return (long)Big(2);
                case 0xCE: return (long)Big(4);
                case 0xD0: return (sbyte)Big(1);
                case 0xD1: return (short)Big(2);
                case 0xD2: return (int)Big(4);
                case 0xD3: return (long)Big(8);
                case 0xCF:
                    ulong value = Big(8);
                    if (value > long.MaxValue)
                        throw new ZoneWireException("the number " + value + " is too large here");
                    return (long)value;
                default: throw Unexpected(first, "a whole number");
            }
        }

        public int Integer(int low, int high)
        {
            long value = Integer();
            if (value < low || value > high)
                throw new ZoneWireException("the number " + value + " is not from " + low + " to " + high);
            return (int)value;
        }

        public long Unsigned32()
        {
            long value = Integer();
            if (value < 0 || value > uint.MaxValue)
                throw new ZoneWireException("the number " + value + " is not from 0 to 4294967295");
            return value;
        }

        /// <summary>Takes the head of an array, and returns the number of its elements.</summary>
        public int Array(int low, int high)
        {
            byte first = Next();
            ulong count;
            if (first >> 4 == 9) count = (ulong)(first & 15);
            else if (first == 0xDC) count = Big(2);
            else if (first == 0xDD) count = Big(4);
            else throw Unexpected(first, "an array");
            return Counted(count, low, high);
        }

        public void ArrayOf(int count) { Array(count, count); }

        int Counted(ulong count, int low, int high)
        {
            // Each element takes a byte at least.
            if (count > ArrayMax || count > (ulong)(_end - _at))
                throw new ZoneWireException("an array of " + count + " elements");
            if ((int)count < low || (int)count > high)
                throw new ZoneWireException("an array of " + count + " elements, and not of " + low + " to " + high);
            _elements += 1 + (int)count;
            if (_elements > ElementsMax) throw new ZoneWireException("more than " + ElementsMax + " elements");
            return (int)count;
        }

        public string Text()
        {
            byte first = Next();
            if (first >> 5 == 5) return TextOf((ulong)(first & 31));
            if (first == 0xD9) return TextOf(Big(1));
            if (first == 0xDA) return TextOf(Big(2));
            if (first == 0xDB) return TextOf(Big(4));
            throw Unexpected(first, "a text");
        }

        string TextOf(ulong length)
        {
            if (length > TextMax) throw new ZoneWireException("a text of " + length + " bytes");
            int start = Skip(length);
            try
            {
                return Wire.Utf8.GetString(Data, start, (int)length);
            }
            catch (ArgumentException)
            {
                throw new ZoneWireException("a text that is no UTF-8");
            }
        }

        int Skip(ulong length)
        {
            if (length > (ulong)(_end - _at)) throw new ZoneWireException("a message that is cut short");
            int start = _at;
            _at += (int)length;
            return start;
        }

        public void Bin(out int start, out int length)
        {
            byte first = Next();
            ulong size;
            if (first == 0xC4) size = Big(1);
            else if (first == 0xC5) size = Big(2);
            else if (first == 0xC6) size = Big(4);
            else throw Unexpected(first, "a bin");
            start = Skip(size);
            length = (int)size;
        }

        public byte[] Bin()
        {
            int start, length;
            Bin(out start, out length);
            var copy = new byte[length];
            Buffer.BlockCopy(Data, start, copy, 0, length);
            return copy;
        }

        public object[] Values() { return Values(Array(0, int.MaxValue), 1); }

        public object[] Values(int count) { return Values(count, 1); }

        object[] Values(int count, int depth)
        {
            if (count == 0) return ZoneOutcome.NoValues;
            if (depth > DepthMax) throw new ZoneWireException("arrays that are nested too deep");
            var values = new object[count];
            for (int i = 0; i < count; i++) values[i] = Value(depth);
            return values;
        }

        public object Value() { return Value(1); }

        object Value(int depth)
        {
            if (_at >= _end) throw new ZoneWireException("a message that is cut short");
            byte first = Data[_at];
            if (first < 0x80 || first >= 0xE0 || (first >= 0xD0 && first <= 0xD3) || (first >= 0xCC && first <= 0xCE))
                return Wire.Boxed(Integer());
            if (IsText) return Text();
            if (first >> 4 == 9 || first == 0xDC || first == 0xDD) return Values(Array(0, int.MaxValue), depth + 1);
            if (first >= 0xC4 && first <= 0xC6) return Bin();
            _at++;
            switch (first)
            {
                case 0xC0: return null;
                case 0xC2: return Wire.False;
                case 0xC3: return Wire.True;
                case 0xCA: return (double)BitConverter.ToSingle(BitConverter.GetBytes((uint)Big(4)), 0);
                case 0xCB: return BitConverter.Int64BitsToDouble((long)Big(8));
                case 0xCF:
                    ulong value = Big(8);
                    return value > long.MaxValue ? (object)value : Wire.Boxed((long)value);
                default: throw Unexpected(first, "a value, which is no map and no extension,");
            }
        }
    }

    /// <summary>Writes MessagePack.</summary>
    internal sealed class WireWriter
    {
        byte[] _data = new byte[256];
        int _length;

        public void Clear() { _length = 0; }

        public byte[] ToArray()
        {
            var copy = new byte[_length];
            Buffer.BlockCopy(_data, 0, copy, 0, _length);
            return copy;
        }

        void Put(byte value)
        {
            if (_length == _data.Length) System.Array.Resize(ref _data, 2 * _length);
            _data[_length++] = value;
        }

        void Put(byte head, ulong value, int bytes)
        {
            Put(head);
            for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) Put((byte)(value >> shift));
        }

        public void Raw(byte[] data)
        {
            while (_length + data.Length > _data.Length) System.Array.Resize(ref _data, 2 * _data.Length);
            Buffer.BlockCopy(data, 0, _data, _length, data.Length);
            _length += data.Length;
        }

        public void Message(int elements, byte op)
        {
            Put((byte)(0x90 | elements));
            Put(op);
        }

        public void Array(int count)
        {
            if (count < 16) Put((byte)(0x90 | count));
            else Put(0xDC, (ulong)count, 2);
        }

        public void Integer(long value)
        {
            if (value >= 0) Unsigned((ulong)value);
            else if (value >= -32) Put((byte)value);
            else if (value >= sbyte.MinValue) Put(0xD0, (ulong)value, 1);
            else if (value >= short.MinValue) Put(0xD1, (ulong)value, 2);
            else if (value >= int.MinValue) Put(0xD2, (ulong)value, 4);
            else Put(0xD3, (ulong)value, 8);
        }

        public void Unsigned(ulong value)
        {
            if (value < 0x80) Put((byte)value);
            else if (value <= byte.MaxValue) Put(0xCC, value, 1);
            else if (value <= ushort.MaxValue) Put(0xCD, value, 2);
            else if (value <= uint.MaxValue) Put(0xCE, value, 4);
            else Put(0xCF, value, 8);
        }

        public void Text(string text)
        {
            if (text == null)
            {
                Put(0xC0);
                return;
            }
            byte[] bytes = Wire.Utf8.GetBytes(text);
            if (bytes.Length < 32) Put((byte)(0xA0 | bytes.Length));
            else if (bytes.Length <= byte.MaxValue) Put(0xD9, (ulong)bytes.Length, 1);
            else if (bytes.Length <= ushort.MaxValue) Put(0xDA, (ulong)bytes.Length, 2);
            else Put(0xDB, (ulong)bytes.Length, 4);
            Raw(bytes);
        }

        public void Bin(byte[] data)
        {
            if (data.Length <= byte.MaxValue) Put(0xC4, (ulong)data.Length, 1);
            else if (data.Length <= ushort.MaxValue) Put(0xC5, (ulong)data.Length, 2);
            else Put(0xC6, (ulong)data.Length, 4);
            Raw(data);
        }

        /// <summary>An argument: null, a bool, a number, a string, a byte[] or, if it may, a list of these.</summary>
        public void Value(object value, bool mayBeList)
        {
            if (value == null) Put(0xC0);
            else if (value is bool) Put((byte)((bool)value ? 0xC3 : 0xC2));
            else if (value is int) Integer((int)value);
            else if (value is long) Integer((long)value);
            else if (value is string) Text((string)value);
            else if (value is double) Put(0xCB, (ulong)BitConverter.DoubleToInt64Bits((double)value), 8);
            else if (value is float) Put(0xCA, BitConverter.ToUInt32(BitConverter.GetBytes((float)value), 0), 4);
            else if (value is ulong) Unsigned((ulong)value);
            else if (value is uint) Integer((uint)value);
            else if (value is short) Integer((short)value);
            else if (value is ushort) Integer((ushort)value);
            else if (value is byte) Integer((byte)value);
            else if (value is sbyte) Integer((sbyte)value);
            else if (value is byte[]) Bin((byte[])value);
            else if (value is IList && mayBeList) List((IList)value);
            else throw new ArgumentException("only null, bool, numbers, string, byte[] and lists are sent: " + value);
        }

        void List(IList list)
        {
            if (list.Count > 16) throw new ArgumentException("a list in an action has at most 16 elements");
            Array(list.Count);
            for (int i = 0; i < list.Count; i++) Value(list[i], false);
        }
    }

    // ----- Transports ------------------------------------------------------------------------------------------------

    /// <summary>Cuts a stream into payloads, each with its length in front in four bytes, big-endian.</summary>
    internal sealed class Deframer
    {
        byte[] _data = new byte[65536];
        int _start, _end;

        /// <summary>Where the next bytes go: at least one is free.</summary>
        public byte[] Buffer(out int at, out int free)
        {
            if (_start > 0)
            {
                System.Buffer.BlockCopy(_data, _start, _data, 0, _end - _start);
                _end -= _start;
                _start = 0;
            }
            // A payload gets more room as it arrives, so that a length alone takes no memory.
            if (_end == _data.Length) Array.Resize(ref _data, 2 * _data.Length);
            at = _end;
            free = _data.Length - _end;
            return _data;
        }

        /// <summary>So many bytes have come; adds the payloads that are complete. Throws ZoneWireException for a length
        /// that no server sends.</summary>
        public void Received(int count, List<byte[]> payloads)
        {
            _end += count;
            while (_end - _start >= 4)
            {
                uint length = 0;
                for (int i = 0; i < 4; i++) length = length << 8 | _data[_start + i];
                if (length == 0 || length > MessageDecoder.PayloadMax)
                    throw new ZoneWireException("a message of " + length + " bytes: is it a zone server, by tcp://?");
                if (_end - _start - 4 < length) return;
                var payload = new byte[length];
                System.Buffer.BlockCopy(_data, _start + 4, payload, 0, (int)length);
                payloads.Add(payload);
                _start += 4 + (int)length;
            }
        }
    }

    /// <summary>A transport with two threads: one connects and reads, the other writes all that is queued at
    /// once.</summary>
    public abstract class ThreadedTransport : IZoneTransport
    {
        // Beyond these bounds nothing is read until the program polls; the server then skips frames for it.
        const int WaitingMax = 64, WaitingBytesMax = 4 * 1024 * 1024;
        const int QueuedBytesMax = 1024 * 1024;
        // How long the end of a connection may take.
        const int LingerMilliseconds = 1000;

        readonly object _lock = new object();
        readonly Queue<byte[]> _waiting = new Queue<byte[]>();
        readonly Queue<double> _arrived = new Queue<double>();
        int _waitingBytes;
        List<byte[]> _queued = new List<byte[]>();
        int _queuedBytes;
        bool _isClosing, _hasEnded;
        // The thread that writes, while there is a connection.
        Thread _writing;
        // Why nothing more comes, and whether what came is the reason.
        string _end;
        bool _isFault;

        /// <summary>Connects, and may take its time.</summary>
        protected abstract void Connect();
        /// <summary>Waits for messages, and adds them; false at the end of the stream.</summary>
        protected abstract bool Read(List<byte[]> payloads);
        /// <summary>Writes messages, and waits until the system has taken them.</summary>
        protected abstract void Write(List<byte[]> payloads);
        /// <summary>Closes the connection at once: what waits in the methods above throws. Any thread may call
        /// it.</summary>
        protected abstract void Abort();
        /// <summary>What the end of the stream means.</summary>
        protected virtual string EndText { get { return "the connection ended without a goodbye"; } }

        /// <summary>How many messages wait for the program.</summary>
        internal int Waiting { get { lock (_lock) return _waiting.Count; } }

        public void Open()
        {
            new Thread(RunReading) { IsBackground = true, Name = "zone reads" }.Start();
        }

        public void Send(byte[] payload)
        {
            bool isFull;
            lock (_lock)
            {
                if (_isClosing || _hasEnded) return;
                _queued.Add(payload);
                _queuedBytes += payload.Length;
                isFull = _queuedBytes > QueuedBytesMax;
                if (isFull && _end == null) _end = "the server takes nothing any more";
                Monitor.PulseAll(_lock);
            }
            if (isFull) Abort();
        }

        public bool Receive(out byte[] payload, out double arrived)
        {
            payload = null;
            arrived = 0;
            lock (_lock)
            {
                if (_waiting.Count > 0)
                {
                    payload = _waiting.Dequeue();
                    arrived = _arrived.Dequeue();
                    _waitingBytes -= payload.Length;
                    Monitor.PulseAll(_lock);
                    return true;
                }
                if (!_hasEnded) return false;
                if (_isFault) throw new ZoneWireException(_end);
                throw new IOException(_end);
            }
        }

        public void Close(bool atOnce)
        {
            lock (_lock)
            {
                _isClosing = true;
                _waiting.Clear();
                _arrived.Clear();
                _waitingBytes = 0;
                if (_writing == null) atOnce = true;
                // The goodbye of a program that ends still leaves: the thread outlives it, for a second at most.
                else if (!atOnce) _writing.IsBackground = false;
                Monitor.PulseAll(_lock);
            }
            if (atOnce) Abort();
        }

        void RunReading()
        {
            string end;
            bool isFault = false, isConnected = false;
            var payloads = new List<byte[]>();
            try
            {
                Connect();
                isConnected = true;
                lock (_lock)
                {
                    _writing = new Thread(RunWriting) { IsBackground = true, Name = "zone writes" };
                    _writing.Start();
                }
                while (Read(payloads))
                {
                    Keep(payloads, ZoneClock.Time);
                    payloads.Clear();
                }
                end = EndText;
            }
            catch (Exception error)
            {
                // A socket, TLS or a WebSocket throws what it likes.
                end = Deepest(error).Message;
                isFault = error is ZoneWireException;
            }
            // What came before the fault still counts.
            Keep(payloads, ZoneClock.Time);
            lock (_lock)
            {
                _hasEnded = true;
                if (_end == null)
                {
                    _end = end;
                    _isFault = isFault;
                }
                Monitor.PulseAll(_lock);
            }
            if (!isConnected) Abort();
        }

        /// <summary>The cause of an exception, whose text says most.</summary>
        protected static Exception Deepest(Exception error)
        {
            while (error.InnerException != null) error = error.InnerException;
            return error;
        }

        void Keep(List<byte[]> payloads, double arrived)
        {
            lock (_lock)
            {
                foreach (byte[] payload in payloads)
                {
                    while (!_isClosing && !HasRoom(payload.Length)) Monitor.Wait(_lock);
                    if (_isClosing) return;
                    _waiting.Enqueue(payload);
                    _arrived.Enqueue(arrived);
                    _waitingBytes += payload.Length;
                }
            }
        }

        bool HasRoom(int bytes)
        {
            return _waiting.Count == 0 || (_waiting.Count < WaitingMax && _waitingBytes + bytes <= WaitingBytesMax);
        }

        void RunWriting()
        {
            try
            {
                while (true)
                {
                    List<byte[]> batch;
                    lock (_lock)
                    {
                        while (_queued.Count == 0 && !_isClosing && !_hasEnded) Monitor.Wait(_lock);
                        if (_queued.Count == 0 || _hasEnded) break;
                        batch = _queued;
                        _queued = new List<byte[]>();
                        _queuedBytes = 0;
                    }
                    Write(batch);
                }
            }
            catch (Exception)
            {
                // The reading thread finds the end too, behind what the server has sent before it.
            }
            lock (_lock)
            {
                double until = ZoneClock.Time + LingerMilliseconds / 1000.0;
                for (double left; !_hasEnded && (left = until - ZoneClock.Time) > 0;)
                    Monitor.Wait(_lock, (int)(1000 * left) + 1);
                _writing = null;
            }
            Abort();
        }
    }

    /// <summary>A transport on a socket of its own, with or without TLS: closing the socket ends whatever waits for
    /// it.</summary>
    public abstract class SocketTransport : ThreadedTransport
    {
        readonly string _host;
        readonly int _port;
        readonly RemoteCertificateValidationCallback _check;
        readonly object _socketLock = new object();
        Socket _socket;
        bool _isAborted;

        /// <param name="check">Checks the certificate of the server. Null: as the system does.</param>
        protected SocketTransport(string host, int port, bool isTls, RemoteCertificateValidationCallback check)
        {
            _host = host;
            _port = port;
            IsTls = isTls;
            _check = check;
        }

        protected bool IsTls { get; private set; }
        /// <summary>What is sent and received, since Connect.</summary>
        protected Stream Stream { get; private set; }

        protected override void Connect()
        {
            Exception failure = null;
            foreach (IPAddress address in Dns.GetHostAddresses(_host))
            {
                var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                lock (_socketLock)
                {
                    if (_isAborted) throw new IOException("closed");
                    _socket = socket;
                }
                try
                {
                    socket.Connect(address, _port);
                    failure = null;
                    break;
                }
                catch (SocketException error)
                {
                    socket.Close();
                    failure = error;
                }
            }
            if (failure != null)
                throw new IOException("cannot connect to " + _host + ":" + _port + ": " + failure.Message);
            Stream = new NetworkStream(_socket, false);
            if (!IsTls) return;
            var secure = new SslStream(Stream, false, _check);
            try
            {
                secure.AuthenticateAsClient(_host);
            }
            catch (Exception error)
            {
                string why = "no TLS with " + _host + ":" + _port + " (is its certificate trusted?): ";
                throw new IOException(why + Deepest(error).Message);
            }
            Stream = secure;
        }

        protected override void Abort()
        {
            lock (_socketLock)
            {
                _isAborted = true;
                if (_socket != null) _socket.Close();
            }
        }
    }

    /// <summary>TCP, or TLS over TCP.</summary>
    public sealed class TcpTransport : SocketTransport
    {
        readonly Deframer _deframer = new Deframer();
        bool _hasRead;

        public TcpTransport(string host, int port, bool isTls, RemoteCertificateValidationCallback check)
            : base(host, port, isTls, check) { }

        protected override string EndText
        {
            get
            {
                const string silent = "the connection ended without an answer; if the server requires TLS, use tls://";
                return _hasRead || IsTls ? base.EndText : silent;
            }
        }

        protected override bool Read(List<byte[]> payloads)
        {
            int at, free;
            byte[] buffer = _deframer.Buffer(out at, out free);
            int count = Stream.Read(buffer, at, free);
            if (count <= 0) return false;
            _hasRead = true;
            _deframer.Received(count, payloads);
            return true;
        }

        protected override void Write(List<byte[]> payloads)
        {
            int length = 0;
            foreach (byte[] payload in payloads) length += 4 + payload.Length;
            var bytes = new byte[length];
            int at = 0;
            foreach (byte[] payload in payloads)
            {
                for (int shift = 24; shift >= 0; shift -= 8) bytes[at++] = (byte)(payload.Length >> shift);
                Buffer.BlockCopy(payload, 0, bytes, at, payload.Length);
                at += payload.Length;
            }
            Stream.Write(bytes, 0, bytes.Length);
        }
    }

    /// <summary>A WebSocket, for desktop, phones and servers. A browser (WebGL) has its own, which this is not.</summary>
    public sealed class WebSocketTransport : SocketTransport
    {
        static readonly string Protocol = "zone." + ZoneClient.Version;
        const int HeadBytesMax = 8192, BufferBytes = 16384;

        readonly Uri _uri;
        // It cuts the stream into messages. The handshake is done here: ClientWebSocket under Mono cannot be stopped
        // while it waits for a silent server.
        WebSocket _socket;
        byte[] _buffer = new byte[65536];

        public WebSocketTransport(Uri uri, RemoteCertificateValidationCallback check = null)
            : base(uri.DnsSafeHost, PortOf(uri), uri.Scheme == "wss", check)
        {
            _uri = uri;
        }

        static int PortOf(Uri uri) { return uri.Port > 0 ? uri.Port : uri.Scheme == "wss" ? 443 : 80; }

        protected override void Connect()
        {
            try
            {
                base.Connect();
                Shake();
            }
            catch (Exception error)
            {
                throw new IOException("cannot open a WebSocket at " + _uri + ": " + Deepest(error).Message);
            }
            ArraySegment<byte> buffer = WebSocket.CreateClientBuffer(BufferBytes, BufferBytes);
            TimeSpan never = Timeout.InfiniteTimeSpan;
            _socket = WebSocket.CreateClientWebSocket(Stream, Protocol, BufferBytes, BufferBytes, never, false, buffer);
        }

        /// <summary>The opening handshake of RFC 6455.</summary>
        void Shake()
        {
            string key = Convert.ToBase64String(Guid.NewGuid().ToByteArray());
            byte[] request = Encoding.ASCII.GetBytes(
                "GET " + _uri.PathAndQuery + " HTTP/1.1\r\nHost: " + _uri.Authority
                + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                + "\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: " + Protocol + "\r\n\r\n");
            Stream.Write(request, 0, request.Length);
            string[] lines = ReadHead().Split(new[] { "\r\n" }, StringSplitOptions.None);
            if (!lines[0].StartsWith("HTTP/1.1 101", StringComparison.Ordinal))
                throw new IOException("the server answered \"" + lines[0] + "\"");
            foreach (string line in lines)
            {
                int colon = line.IndexOf(':');
                if (colon < 0) continue;
                string name = line.Substring(0, colon).ToLowerInvariant();
                if (name == "sec-websocket-accept" && line.Substring(colon + 1).Trim() == Accept(key)) return;
            }
            throw new IOException("the server did not accept the WebSocket");
        }

        static string Accept(string key)
        {
            byte[] text = Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
            using (var sha1 = SHA1.Create()) return Convert.ToBase64String(sha1.ComputeHash(text));
        }

        /// <summary>Reads up to the empty line and not a byte further: what follows is of the WebSocket.</summary>
        string ReadHead()
        {
            var head = new StringBuilder();
            while (head.Length < HeadBytesMax)
            {
                int next = Stream.ReadByte();
                if (next < 0) throw new IOException("the connection ended without an answer");
                head.Append((char)next);
                int length = head.Length;
                if (next == '\n' && length >= 4 && head[length - 3] == '\n') return head.ToString(0, length - 4);
            }
            throw new IOException("the server answered with more than " + HeadBytesMax + " bytes");
        }

        protected override bool Read(List<byte[]> payloads)
        {
            for (int length = 0; ;)
            {
                if (length == _buffer.Length) Array.Resize(ref _buffer, 2 * length);
                var part = new ArraySegment<byte>(_buffer, length, _buffer.Length - length);
                Task<WebSocketReceiveResult> receiving = _socket.ReceiveAsync(part, CancellationToken.None);
                WebSocketReceiveResult result = receiving.GetAwaiter().GetResult();
                if (result.MessageType == WebSocketMessageType.Close) return false;
                if (result.MessageType != WebSocketMessageType.Binary)
                    throw new ZoneWireException("a text, where only bytes may come");
                length += result.Count;
                if (length > MessageDecoder.PayloadMax)
                    throw new ZoneWireException("a message of more than " + MessageDecoder.PayloadMax + " bytes");
                if (!result.EndOfMessage) continue;
                var payload = new byte[length];
                Buffer.BlockCopy(_buffer, 0, payload, 0, length);
                payloads.Add(payload);
                return true;
            }
        }

        protected override void Write(List<byte[]> payloads)
        {
            foreach (byte[] payload in payloads)
            {
                var bytes = new ArraySegment<byte>(payload);
                const WebSocketMessageType binary = WebSocketMessageType.Binary;
                _socket.SendAsync(bytes, binary, true, CancellationToken.None).GetAwaiter().GetResult();
            }
        }
    }
}
