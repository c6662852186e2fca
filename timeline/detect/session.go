package detect

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// sameSession is how far apart records of one 5-tuple may lie to be taken for
// one connection: it covers the clock offsets of DETECTION practice (90 s) and the
// retransmissions of a SYN (63 s), and is shorter than the reuse of a port.
const sameSession = int64(120e9)

// Session is one connection, or one attempt, as all sensors together saw it.
// Numbers come from the record that says most; they are Absent where none does. Texts
// are those of events: what is kept of them for long is copied.
type Session struct {
	Src, Dst          netip.Addr
	SrcPort, DstPort  int64
	Proto             string
	Start             int64 // earliest record's time
	End               int64 // latest time any record speaks of
	Duration          int64 // nanoseconds
	BytesOut, BytesIn int64
	PktsOut, PktsIn   int64
	Events            int64 // records of the sensor that wrote most
	Denied            bool  // some sensor refused it
	Allowed           bool  // some sensor let it pass
	Failed            bool  // refused or unanswered
	Settled           bool  // the outcome is known
	Reply             bool  // only packets that answer or end a connection were seen
	Conn              bool  // a record of the connection itself is among them
	State, UID        string
	Listed            bool // it stands in the sensor's list of connections that still run
	Begun             bool // a record written at its beginning was seen
	Ended             bool // a record written at its end was seen
	Standing          bool // it was seen to begin or to go on and not to end by the end of the data
	Host, App         string
	Service           string
	Inferences        string // of a sensor that infers the use of SSH
	Alarm             string // text of an IDS alarm
	Proofs            []Proof
	alive             int // rows of Zeek's that say established and not ended
	views             []witness
}

// Proof is a record that can be shown.
type Proof struct {
	firetrail.Origin
	Time int64
	Note string
}

// witness counts what one sensor wrote of one kind: the records, or the connections
// where it records those, for their start, their progress and their end are one.
type witness struct {
	sensor, kind, uid string
	begun             bool // the record counted last was of a beginning
	n                 int64
}

// counted reports whether the witness has counted the event's connection already.
func (w *witness) counted(ev *firetrail.Event) bool {
	begun := w.begun
	w.begun = ev.State == stateStart
	return w.uid != "" && w.uid == ev.UID || begun && !w.begun
}

func proofOf(ev *firetrail.Event, note string) Proof {
	return Proof{Origin: ev.Origin, Time: ev.Time, Note: note}
}

// maxProofs bounds the records a session keeps: one a sensor and kind.
const maxProofs = 4

type tuple struct {
	src, dst     netip.Addr
	sport, dport int64
	proto        string
}

// sessions folds events into sessions. It holds those of the last sameSession
// interval only and emits them by start.
type sessions struct {
	lab   *Lab
	open  map[tuple]*Session
	queue []*Session // by start, from head on
	head  int
	free  []*Session
	emit  func(*Session)
}

// sessionFields are all that sessions are made of.
var sessionFields = []string{
	"time", "end", "duration", "kind", "sensor", "action", "proto", "src_ip", "src_port", "dst_ip", "dst_port", "nat_src_ip",
	"bytes_out", "bytes_in", "packets_out", "packets_in", "app", "service", "host", "flags", "state", "uid", "x.inferences",
}

// readSessions is phase 2.
func (l *Lab) readSessions(ctx context.Context, view View, wants []firetrail.Traffic, states []State) error {
	fold := sessions{lab: l, open: map[tuple]*Session{}, emit: func(s *Session) {
		for _, st := range states {
			st.Session(s)
		}
	}}
	for ev, err := range view.Traffic(ctx, wants, sessionFields...) {
		if err != nil {
			return err
		}
		if ev.Time == firetrail.Absent {
			l.undated++
			continue
		}
		fold.add(ev)
	}
	fold.expire(1<<63 - 1)
	return nil
}

func (f *sessions) add(ev *firetrail.Event) {
	f.expire(ev.Time - sameSession)
	key := tuple{ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort, protoName(ev.Proto)}
	if key.proto == "" { // Zeek's ssl, http and ssh do not name the transport
		key.proto = "tcp"
	}
	s := f.open[key]
	if s == nil || s.another(ev) {
		s = f.take()
		s.Src, s.Dst, s.SrcPort, s.DstPort, s.Proto = ev.SrcIP, ev.DstIP, ev.SrcPort, ev.DstPort, key.proto
		s.Start, s.End, s.Reply = ev.Time, ev.Time, true
		f.open[key] = s
		f.queue = append(f.queue, s)
	}
	s.observe(ev)
	if ev.NATSrcIP.IsValid() && ev.NATSrcIP != ev.SrcIP {
		f.lab.nat[ev.NATSrcIP] = true
	}
}

// protoName is the protocol's name in memory of our own for the common ones.
func protoName(p string) string {
	for _, known := range [...]string{"tcp", "udp", "icmp", "icmpv6"} {
		if p == known {
			return known
		}
	}
	return strings.Clone(p)
}

// expire emits the sessions that began before t: nothing can join them now.
func (f *sessions) expire(t int64) {
	for f.head < len(f.queue) && f.queue[f.head].Start < t {
		s := f.queue[f.head]
		key := tuple{s.Src, s.Dst, s.SrcPort, s.DstPort, s.Proto}
		if f.open[key] == s {
			delete(f.open, key)
		}
		f.lab.stands(s)
		f.emit(s)
		clear(s.views)
		*s = Session{Proofs: s.Proofs[:0], views: s.views[:0]} // the texts of its events are no longer needed
		f.free = append(f.free, s)
		f.head++
	}
	if f.head > 1024 && f.head > len(f.queue)/2 {
		f.queue = f.queue[:copy(f.queue, f.queue[f.head:])]
		f.head = 0
	}
}

func (f *sessions) take() *Session {
	s := &Session{}
	if n := len(f.free); n > 0 {
		s, f.free = f.free[n-1], f.free[:n-1]
	}
	s.Duration, s.BytesOut, s.BytesIn, s.PktsOut, s.PktsIn = firetrail.Absent, firetrail.Absent, firetrail.Absent, firetrail.Absent, firetrail.Absent
	return s
}

// another reports whether the event is of a new connection that reuses the
// tuple: the same sensor gave it another id.
func (s *Session) another(ev *firetrail.Event) bool {
	if s.UID == "" || ev.UID == "" || s.UID == ev.UID || !connKind(ev.Kind) {
		return false
	}
	for _, w := range s.views {
		if w.sensor == ev.Sensor && w.kind == ev.Kind {
			return true
		}
	}
	return false
}

func (s *Session) observe(ev *firetrail.Event) {
	s.End = max(s.End, ev.Last())
	s.Duration = max(s.Duration, ev.Duration)
	s.BytesOut, s.BytesIn = max(s.BytesOut, ev.BytesOut), max(s.BytesIn, ev.BytesIn)
	s.PktsOut, s.PktsIn = max(s.PktsOut, ev.PacketsOut), max(s.PktsIn, ev.PacketsIn)
	s.Denied = s.Denied || ev.Denied()
	s.Allowed = s.Allowed || ev.Action == firetrail.ActionAllow
	s.Failed = s.Failed || ev.Failed()
	s.Reply = s.Reply && answers(ev)
	listed := strings.HasPrefix(ev.Kind, "zeek.open_conn")
	s.Listed = s.Listed || listed
	s.Begun = s.Begun || ev.State == stateStart
	if ev.State == stateAlive && connKind(ev.Kind) {
		s.alive++
	}
	s.Ended = s.Ended || !listed && ev.Duration != firetrail.Absent && ev.State != stateStart && ev.State != stateAlive
	s.name(ev)
	if connKind(ev.Kind) {
		s.Conn = true
		s.Settled = s.Settled || timedKind(ev.Kind) || ev.Denied()
		if s.UID == "" {
			s.UID = ev.UID
		}
	}
	for i := range s.views {
		if w := &s.views[i]; w.sensor == ev.Sensor && w.kind == ev.Kind {
			if w.counted(ev) {
				return
			}
			w.n++
			if connKind(w.kind) || !s.Conn {
				s.Events = max(s.Events, w.n)
			}
			return
		}
	}
	w := witness{sensor: ev.Sensor, kind: ev.Kind, begun: ev.State == stateStart, n: 1}
	if timedKind(ev.Kind) {
		w.uid = ev.UID
	}
	s.views = append(s.views, w)
	s.Events = max(s.Events, 1)
	if len(s.Proofs) < maxProofs {
		s.Proofs = append(s.Proofs, proofOf(ev, ""))
	}
}

// name takes what the event calls the peer, the application and the protocol.
func (s *Session) name(ev *firetrail.Event) {
	if ev.Host != "" && (s.Host == "" || ev.Host < s.Host) {
		s.Host = ev.Host
	}
	if ev.State != "" && connKind(ev.Kind) {
		s.State = ev.State
	}
	if ev.App != "" && (s.App == "" || s.App == "incomplete") {
		s.App = ev.App
	}
	if ev.Service != "" {
		s.Service = ev.Service
	}
	if ev.Kind == "zeek.ssh" {
		if s.Service == "" {
			s.Service = "ssh"
		}
		if v, ok := ev.Get("inferences"); ok && v != "" {
			s.Inferences = v
		}
	}
}

// answers reports whether a packet's TCP flags say that it belongs to a
// connection that exists already: an answer, a reset, an end. Sensors that
// record connections instead of packets give no flags.
func answers(ev *firetrail.Event) bool {
	if ev.Flags == "" || ev.Proto != "tcp" {
		return false
	}
	syn, ack := false, false
	for f := range strings.FieldsFuncSeq(ev.Flags, func(r rune) bool { return r == ' ' || r == ',' }) {
		switch strings.ToUpper(f) {
		case "SYN":
			syn = true
		case "ACK", "RST", "FIN", "PSH", "URG":
			ack = ack || strings.EqualFold(f, "ACK")
		default: // letters: pf's S, SA; tcpdump's S., R
			syn = syn || strings.ContainsAny(f, "S")
			ack = ack || strings.ContainsAny(f, "A.")
		}
	}
	return !syn || ack
}

// States that say how far a connection is: a PAN-OS record written when a session
// begins, a Zeek row of a connection that is established and has not ended.
const (
	stateStart = "start"
	stateAlive = "S1"
)

// lastRow is how close to the end of the data Zeek's only row of a connection has to
// end for its missing end to mean that it went on: Zeek writes the state as well
// where a connection fell silent for long. Several rows are of a list of such.
const lastRow = int64(600e9)

// stands notes whether the session went on at the end of the data: its sensor
// recorded its beginning, records ends as well, and recorded none; or it was
// written out, established and not ended, when the sensor stopped.
func (l *Lab) stands(s *Session) {
	announced := s.Begun && !s.Ended && !s.Denied && slices.ContainsFunc(s.views, func(w witness) bool { return l.ends[w.sensor] })
	cut := s.alive > 0 && !s.Ended && !s.Denied && s.Duration > 0 && (s.alive > 1 || s.End >= l.End()-lastRow)
	s.Standing = announced || cut
}

// Open reports whether the connection still ran when its sensor last spoke of it.
func (s *Session) Open() bool { return s.Listed && !s.Ended || s.Standing }

// Seconds is the session's duration, 0 where it is not known.
func (s *Session) Seconds() float64 { return float64(max(s.Duration, 0)) / 1e9 }
