package firetrail

import (
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Absent marks a number or a time that the record does not give. It differs
// from zero: a port 0 or a count of 0 bytes is a statement, Absent is none.
const Absent = math.MinInt64

// Origin says which bytes an event was read from.
type Origin struct {
	Source string // id of the Source, "" until the store has given it one
	Line   int64  // line of the decompressed source, from 1; a packet's number in a capture
	Offset int64  // bytes of the decompressed source before the record
	Length int64  // bytes of the record without its line end
}

// ID names the event for people and scripts: "e-<source>-<offset>", the same
// on every machine that ingests the same bytes.
func (o Origin) ID() string {
	return "e-" + o.Source + "-" + strconv.FormatInt(o.Offset, 10)
}

// Guess says which parts of an event's time were not in the record.
type Guess uint8

const (
	GuessYear Guess = 1 << iota // the stamp has no year: resolved from the evidence around it
	GuessZone                   // the stamp has no zone: the source's zone, or UTC, was used
)

// String gives "year", "zone", "year,zone" or "".
func (g Guess) String() string {
	return [...]string{"", "year", "zone", "year,zone"}[g&3]
}

// Action values. A record that does not say what the firewall did has "".
// Detectors and people ask Event.Denied; the record's own word is kept as an x field.
const (
	ActionAllow  = "allow"  // accept, pass, permit
	ActionDeny   = "deny"   // refused, the manner is not said: deny, block
	ActionDrop   = "drop"   // refused silently
	ActionReject = "reject" // refused with an answer to the sender
	ActionReset  = "reset"  // an established session was torn down: reset-client, reset-both …
	ActionAlert  = "alert"  // seen and reported, not stopped
)

// Field is one named value of the original record, beyond the common fields:
// "x.NAME" in queries and outputs. Name has no "x." in front.
type Field struct {
	Name, Value string
}

// Event is one parsed record. The zero value is not an empty event: use Reset
// or NewEvent, which mark numbers and times as Absent. Strings may alias the
// memory of the chunk they were read from; that memory is never reused, so they
// stay valid, but clone what is kept for long.
type Event struct {
	Origin

	Time     int64 // when it began: the first packet, the session's start, else the record's stamp
	End      int64 // when it ended
	Duration int64 // nanoseconds
	Guess    Guess // what of Time was not in the record

	Kind      string // family and record type: "iptables", "pf", "paloalto.traffic", "zeek.conn"
	Sensor    string // the device that wrote the record, by the name in the record or --sensor
	Action    string // one of the Action constants or ""
	Reason    string // why: the firewall's own word (session end reason, pf reason …)
	Direction string // "in", "out", "forward", "in/out" as the sensor saw it; "" unknown
	Proto     string // lower case: "tcp", "udp", "icmp", "icmpv6" …; the number where it has no name

	SrcIP, DstIP       netip.Addr
	SrcPort, DstPort   int64
	NATSrcIP, NATDstIP netip.Addr // only where the record gives a translated address
	NATSrcPort         int64
	NATDstPort         int64
	BytesOut, BytesIn  int64 // from source to destination, and back; never a single packet's length
	PacketsOut         int64
	PacketsIn          int64
	InInterface        string
	OutInterface       string
	SrcZone, DstZone   string
	Rule               string // rule name, number or log prefix
	App                string // application as the sensor identified it
	Service            string // protocol analyser's word (Zeek service)
	Host               string // name the peer was known by: DNS question, SNI, HTTP host; no port, no final dot
	URL                string
	User               string
	Flags              string // TCP flags in the order of the record, as the record's letters or words
	State              string // connection state as recorded (Zeek conn_state, conntrack state)
	UID                string // the sensor's own connection id
	CommunityID        string
	SrcCountry         string
	DstCountry         string
	SrcASN, DstASN     int64
	Run                string // set by attribution, never by a parser
	X                  []Field
}

// NewEvent returns an empty event: nothing is known of it.
func NewEvent() Event {
	var ev Event
	ev.Reset()
	return ev
}

// Reset empties the event and keeps the memory of X for the next record, but nothing of
// what it held: a forgotten value would keep the whole chunk that it was read from.
func (ev *Event) Reset() {
	x := ev.X
	clear(x)
	*ev = Event{}
	ev.X = x[:0]
	ev.Time, ev.End, ev.Duration = Absent, Absent, Absent
	ev.SrcPort, ev.DstPort, ev.NATSrcPort, ev.NATDstPort = Absent, Absent, Absent, Absent
	ev.BytesOut, ev.BytesIn, ev.PacketsOut, ev.PacketsIn = Absent, Absent, Absent, Absent
	ev.SrcASN, ev.DstASN = Absent, Absent
}

// Put appends the record's own field name=value.
func (ev *Event) Put(name, value string) {
	ev.X = append(ev.X, Field{name, value})
}

// Get returns the value of the record's own field, the last one where the
// record repeats a name.
func (ev *Event) Get(name string) (value string, ok bool) {
	for i := len(ev.X) - 1; i >= 0; i-- {
		if ev.X[i].Name == name {
			return ev.X[i].Value, true
		}
	}
	return "", false
}

// Denied reports whether the sensor refused the traffic.
func (ev *Event) Denied() bool {
	switch ev.Action {
	case ActionDeny, ActionDrop, ActionReject, ActionReset:
		return true
	}
	return false
}

// Last is the latest time the event speaks of: its end, else its start.
func (ev *Event) Last() int64 {
	if ev.End != Absent {
		return ev.End
	}
	return ev.Time
}

// Stamp prints a time of an event: RFC 3339 in UTC with as many decimals as
// needed (none, 3, 6 or 9), and "" for Absent.
func Stamp(t int64) string {
	if t == Absent {
		return ""
	}
	return string(AppendStamp(nil, t))
}

// AppendStamp appends what Stamp prints.
func AppendStamp(b []byte, t int64) []byte {
	if t == Absent {
		return b
	}
	layout := "2006-01-02T15:04:05Z"
	switch {
	case t%1e9 == 0:
	case t%1e6 == 0:
		layout = "2006-01-02T15:04:05.000Z"
	case t%1e3 == 0:
		layout = "2006-01-02T15:04:05.000000Z"
	default:
		layout = "2006-01-02T15:04:05.000000000Z"
	}
	return time.Unix(0, t).UTC().AppendFormat(b, layout)
}

// Compare is the total order of events: time, then source, then offset.
// Undated events come first.
func Compare(a, b *Event) int {
	switch {
	case a.Time < b.Time:
		return -1
	case a.Time > b.Time:
		return 1
	case a.Source < b.Source:
		return -1
	case a.Source > b.Source:
		return 1
	case a.Offset < b.Offset:
		return -1
	case a.Offset > b.Offset:
		return 1
	}
	return 0
}
