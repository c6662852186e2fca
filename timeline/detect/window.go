package detect

import "strings"

// window holds the contacts of the last stretch of time and counts the distinct
// targets among them.
type window struct {
	items []contact
	head  int
	count map[target]int
	keen  int64 // distinct targets whose port leads into a host
}

// contact is what a window remembers of a session.
type contact struct {
	start, end int64
	dst        target
	host       string
	failed     bool
	known      bool
	events     int64
	proof      Proof
}

// maxWindow bounds a window; more contacts than that push out the oldest.
const maxWindow = 1 << 14

// push adds a session and drops what is older than span before it.
func (w *window) push(x *Session, span int64) {
	if w.count == nil {
		w.count = map[target]int{}
	}
	c := contact{start: x.Start, end: x.End, dst: target{x.Dst, x.DstPort}, host: strings.Clone(x.Host), failed: x.Failed, known: x.Settled, events: x.Events}
	if len(x.Proofs) > 0 {
		c.proof = x.Proofs[0]
	}
	w.items = append(w.items, c)
	if w.count[c.dst]++; w.count[c.dst] == 1 && remotePorts[c.dst.port] {
		w.keen++
	}
	for w.items[w.head].start < x.Start-span || len(w.items)-w.head > maxWindow {
		old := w.items[w.head].dst
		if w.count[old]--; w.count[old] == 0 {
			delete(w.count, old)
			if remotePorts[old.port] {
				w.keen--
			}
		}
		w.head++
	}
	if w.head > len(w.items)/2 && w.head > 64 {
		w.items = w.items[:copy(w.items, w.items[w.head:])]
		w.head = 0
	}
}

func (w *window) held() []contact { return w.items[w.head:] }

func (w *window) distinct() int64 { return int64(len(w.count)) }

// recall takes a contact that a window has kept.
func (t *trail) recall(c contact) {
	t.span(c.start, c.end)
	t.count += c.events
	t.sessions++
	t.aim(c.dst.ip, c.dst.port, c.host, c.start)
	if c.proof.Length > 0 || c.proof.Source != "" {
		t.prove(c.proof, 0)
	}
}
