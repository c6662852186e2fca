package detect

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"firetrail"
)

// Channel is what all sensors together say of one source, destination, port and
// protocol. Counts and volumes are those of the sensor that saw most, never sums
// over sensors; what several sensors name is united. It is valid during the call.
type Channel struct {
	Src, Dst netip.Addr
	Port     int64
	Proto    string

	Out    bool // from inside to a peer in the internet
	Inside bool // from inside to inside

	Events  int64 // records of connections
	Denied  int64 // of these, refused
	Failed  int64 // of these, refused or unanswered
	Settled int64 // of these, with a known outcome (Failed included)
	Timed   bool  // some sensor records durations

	BytesOut, BytesIn int64
	Longest           int64 // nanoseconds
	Duration          int64 // sum
	Most              Sums  // over all sensors: no less than what their sessions can add up to
	First, Last       int64 // Absent where undated

	Hosts, Apps, Services []string
	both                  []string // Services and Apps
	More                  bool     // there are more names than these
}

// Sums add up what all sensors recorded. Sensors in a row record a connection each, those
// side by side one each: the truth lies between the fullest view and the sum.
type Sums struct {
	Events, Denied, Failed, Passed, BytesOut, BytesIn, Duration int64
}

// words lists what the sensors call the protocol and the application.
func (c *Channel) words() []string { return c.both }

// peerKey is the subject of the detectors that judge a source and its peer.
type peerKey struct {
	src, dst netip.Addr
	port     int64
}

func (k peerKey) compare(o peerKey) int {
	return cmp.Or(k.src.Compare(o.src), k.dst.Compare(o.dst), cmp.Compare(k.port, o.port))
}

// quota bounds the candidates of a detector, in all and of each source: a source that
// tries the whole internet is told all the same. Channels come source by source.
type quota struct {
	src    netip.Addr
	n, all int
}

const (
	maxPeers      = 2000
	maxCandidates = 1 << 16
)

// take reports whether the source may have one more, and notes where not.
func (q *quota) take(l *Lab, d *Detector, src netip.Addr) bool {
	if q.src != src {
		q.src, q.n = src, 0
	}
	q.n++
	if q.n > maxPeers || q.all == maxCandidates {
		l.cut[d.Name] = fmt.Sprintf("followed the first %d peers of a source, and %d in all: there were more", maxPeers, maxCandidates)
		return false
	}
	q.all++
	return true
}

// tally is one sensor's view of a channel.
type tally struct {
	sensor, kind            string
	events, denied, failed  int64
	settled, out, in, spent int64
}

// connKind reports whether records of the kind stand for connections or packets.
// The others (Zeek's ssl, dns, http …, PAN-OS threats) annotate connections.
func connKind(kind string) bool {
	switch {
	case strings.HasPrefix(kind, "zeek."):
		return hasPrefixAny(kind, "zeek.conn", "zeek.open_conn")
	case strings.HasPrefix(kind, "paloalto."):
		return kind == "paloalto.traffic"
	}
	return true
}

// timedKind reports whether records of the kind carry durations and bytes.
func timedKind(kind string) bool {
	return hasPrefixAny(kind, "zeek.conn", "zeek.open_conn", "paloalto.traffic")
}

// readChannels is phase 1.
func (l *Lab) readChannels(ctx context.Context, view View, states []State) error {
	var c Channel
	var views []tally
	var src netip.Addr
	flush := func() {
		if len(views) == 0 {
			return
		}
		l.settle(&c, views)
		if c.Out {
			l.visits.add(c.Src, c.Dst, l.held)
		}
		for _, s := range states {
			s.Channel(&c)
		}
		views = views[:0]
	}
	for f, err := range view.Flows(ctx, firetrail.Query{}) {
		if err != nil {
			return err
		}
		l.learn(f)
		if f.SrcIP != src {
			src = f.SrcIP
			if l.Internal(src) && Unicast(src) {
				l.Hosts++
			}
		}
		if c.Proto == "" && f.Proto != "" { // Zeek's ssl, http and ssh do not name the transport; "" sorts first
			c.Proto = f.Proto
		}
		if f.SrcIP != c.Src || f.DstIP != c.Dst || f.DstPort != c.Port || f.Proto != c.Proto || len(views) == 0 {
			flush()
			c = Channel{Src: f.SrcIP, Dst: f.DstIP, Port: f.DstPort, Proto: f.Proto, First: firetrail.Absent, Last: firetrail.Absent,
				Hosts: c.Hosts[:0], Apps: c.Apps[:0], Services: c.Services[:0], both: c.both[:0]}
		}
		views = c.observe(f, views)
	}
	flush()
	return nil
}

// learn takes from a flow what is true of the whole case.
func (l *Lab) learn(f *firetrail.Flow) {
	if f.First != firetrail.Absent {
		if l.First == firetrail.Absent || f.First < l.First {
			l.First = f.First
		}
		l.Last = max(l.Last, f.Last)
	}
	if f.DstPort == 53 && l.Internal(f.DstIP) && Unicast(f.DstIP) && f.Failed < f.Events {
		l.resolvers[f.DstIP] = true
	}
	if f.Longest > 0 && !l.ends[f.Sensor] {
		l.ends[strings.Clone(f.Sensor)] = true
	}
	l.notice(f)
}

func (c *Channel) observe(f *firetrail.Flow, views []tally) []tally {
	c.Hosts = union(c.Hosts, f.Hosts)
	c.Apps = union(c.Apps, f.Apps)
	c.Services = union(c.Services, f.Services)
	switch f.Kind {
	case "zeek.ssh", "zeek.ssl", "zeek.http", "zeek.dns": // the log itself names the protocol
		c.Services = union(c.Services, []string{strings.TrimPrefix(f.Kind, "zeek.")})
	}
	c.More = c.More || f.More
	c.Longest = max(c.Longest, f.Longest)
	c.Timed = c.Timed || timedKind(f.Kind)
	if f.First != firetrail.Absent {
		if c.First == firetrail.Absent || f.First < c.First {
			c.First = f.First
		}
		c.Last = max(c.Last, f.Last)
	}
	i := slices.IndexFunc(views, func(t tally) bool { return t.sensor == f.Sensor && t.kind == f.Kind })
	if i < 0 {
		views = append(views, tally{sensor: f.Sensor, kind: f.Kind})
		i = len(views) - 1
	}
	t := &views[i]
	t.events += f.Events
	t.failed += f.Failed
	t.out += f.BytesOut
	t.in += f.BytesIn
	t.spent += f.Duration
	if denied(f.Action) {
		t.denied += f.Events
	}
	if timedKind(f.Kind) || denied(f.Action) {
		t.settled += f.Events
	}
	return views
}

// settle takes the fullest view for each number. Records that only annotate
// connections count where there is nothing else.
func (l *Lab) settle(c *Channel, views []tally) {
	conn := slices.ContainsFunc(views, func(t tally) bool { return connKind(t.kind) })
	for _, t := range views {
		if conn && !connKind(t.kind) {
			continue
		}
		c.Events = max(c.Events, t.events)
		c.Denied = max(c.Denied, t.denied)
		c.Failed = max(c.Failed, t.failed)
		c.Settled = max(c.Settled, t.settled)
		c.BytesOut = max(c.BytesOut, t.out)
		c.BytesIn = max(c.BytesIn, t.in)
		c.Duration = max(c.Duration, t.spent)
		c.Most.Events += t.events
		c.Most.Denied += t.denied
		c.Most.Failed += t.failed
		c.Most.Passed += t.events - t.failed
		c.Most.BytesOut += t.out
		c.Most.BytesIn += t.in
		c.Most.Duration += t.spent
	}
	c.both = append(append(c.both[:0], c.Services...), c.Apps...)
	inside := l.Internal(c.Src) && Unicast(c.Src)
	c.Out = inside && l.External(c.Dst)
	c.Inside = inside && l.Internal(c.Dst) && Unicast(c.Dst) && !isMetadata(c.Dst)
}

// union adds sorted names to sorted names.
func union(to, from []string) []string {
	for _, s := range from {
		if i, found := slices.BinarySearch(to, s); !found {
			to = slices.Insert(to, i, s)
		}
	}
	return to
}
