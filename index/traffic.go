package index

import (
	"math"
	"net/netip"
	"slices"

	"firetrail"
	"firetrail/index/columns"
	"firetrail/index/query"
)

// trafficSet is a list of traffic made ready for looking rows up. It is read-only
// and shared by the goroutines of a stream.
type trafficSet struct {
	sources []wantedSource
	src     map[netip.Addr]int32 // place in sources
	dst     map[netip.Addr]int32 // numbers of destinations
	ports   map[portKey]int64    // from when on
	pairs   map[pairKey]int64
	from    int64 // the earliest
}

// wantedSource is what is wanted of a source beside single ports and pairs.
type wantedSource struct {
	addr  netip.Addr
	from  int64 // all of it from then on; never for nothing
	ports bool  // some ports whatever the destination
	pairs bool
}

const (
	never   = int64(math.MaxInt64)
	nowhere = int32(-1)
)

type portKey struct {
	src  int32
	port int64
}

type pairKey struct {
	src, dst int32
	port     int64 // Absent: any
}

func newTrafficSet(list []firetrail.Traffic) *trafficSet {
	s := &trafficSet{src: map[netip.Addr]int32{}, dst: map[netip.Addr]int32{}, ports: map[portKey]int64{}, pairs: map[pairKey]int64{}, from: never}
	for _, t := range list {
		if !t.Src.IsValid() {
			continue
		}
		from := t.From
		if from == 0 {
			from = firetrail.Absent
		}
		s.from = min(s.from, from)
		n, known := s.src[t.Src]
		if !known {
			n = int32(len(s.sources))
			s.src[t.Src] = n
			s.sources = append(s.sources, wantedSource{addr: t.Src, from: never})
		}
		w := &s.sources[n]
		switch {
		case t.Dst.IsValid():
			d, known := s.dst[t.Dst]
			if !known {
				d = int32(len(s.dst))
				s.dst[t.Dst] = d
			}
			w.pairs = true
			earliestOf(s.pairs, pairKey{n, d, t.Port}, from)
		case t.Port != firetrail.Absent:
			w.ports = true
			earliestOf(s.ports, portKey{n, t.Port}, from)
		default:
			w.from = min(w.from, from)
		}
	}
	return s
}

func earliestOf[K comparable](m map[K]int64, k K, from int64) {
	if old, known := m[k]; !known || from < old {
		m[k] = from
	}
}

// plan is a predicate that every wanted row passes, by which blocks are looked for.
func (s *trafficSet) plan() *query.Predicate {
	var whole, paired, peers []netip.Addr
	for i := range s.sources {
		w := &s.sources[i]
		if w.ports || w.from != never {
			whole = append(whole, w.addr)
		}
		if w.pairs {
			paired = append(paired, w.addr)
		}
	}
	for a := range s.dst {
		peers = append(peers, a)
	}
	var any []*query.Predicate
	if len(whole) > 0 {
		any = append(any, addrSet("src_ip", whole))
	}
	if len(paired) > 0 {
		any = append(any, &query.Predicate{Op: firetrail.OpAnd, Args: []*query.Predicate{addrSet("src_ip", paired), addrSet("dst_ip", peers)}})
	}
	return &query.Predicate{Op: firetrail.OpOr, Args: any}
}

// maxPlanned bounds the addresses that are looked up in the block index.
const maxPlanned = 4096

func addrSet(field string, addrs []netip.Addr) *query.Predicate {
	slices.SortFunc(addrs, netip.Addr.Compare)
	p := query.AddrSet(field, addrs)
	if len(addrs) > maxPlanned {
		p.Leaf.Need = query.Need{}
	}
	return p
}

// trafficTest tests the rows of one segment, for one goroutine. It looks each
// address of a dictionary up once.
type trafficTest struct {
	set      *trafficSet
	src, dst numbered
}

// numbered gives the numbers of a dictionary's addresses, nowhere for others.
type numbered struct {
	dict *columns.Dict
	ids  []int32
}

func (n *numbered) use(d *columns.Dict, of map[netip.Addr]int32) {
	if n.dict == d {
		return
	}
	n.dict, n.ids = d, n.ids[:0]
	for _, a := range d.Addrs() {
		id, known := of[a]
		if !known {
			id = nowhere
		}
		n.ids = append(n.ids, id)
	}
}

// narrow takes the rows that are not wanted out of a mask of the block on which t stands.
func (x *trafficTest) narrow(t *tester, m *mask) error {
	src, dst, ports, times, err := x.vectors(t)
	if err != nil {
		return err
	}
	if src == nil {
		*m = mask{}
		return nil
	}
	x.src.use(src.Dict, x.set.src)
	if dst != nil {
		x.dst.use(dst.Dict, x.set.dst)
	}
	m.rows(func(row int) {
		port, d := int64(firetrail.Absent), nowhere
		if ports != nil {
			port = ports[row]
		}
		if dst != nil && dst.Codes[row] != columns.Null {
			d = x.dst.ids[dst.Codes[row]]
		}
		if s := src.Codes[row]; s == columns.Null || !x.set.wants(x.src.ids[s], d, port, times[row]) {
			m[row/64] &^= 1 << (row % 64)
		}
	})
	return nil
}

// vectors are the columns that traffic is told by; nil where the block has none.
func (x *trafficTest) vectors(t *tester) (src, dst *columns.Vector, ports, times []int64, err error) {
	read := func(name string) *columns.Vector {
		i, ok := t.seg.Column(name)
		if !ok || err != nil || t.seg.Absent(i, t.r.Block()) {
			return nil
		}
		var v *columns.Vector
		v, err = t.r.Vector(i)
		return v
	}
	src, dst = read("src_ip"), read("dst_ip")
	if v := read("dst_port"); v != nil {
		ports = v.Ints()
	}
	if v := read("time"); v != nil {
		times = v.Ints()
	} else {
		times = undatedRows[:]
	}
	return src, dst, ports, times, err
}

// undatedRows are the times of a block without any.
var undatedRows = func() (t [columns.BlockRows]int64) {
	for i := range t {
		t[i] = firetrail.Absent
	}
	return t
}()

// wants tests a row; an undated one is wanted whatever the time.
func (s *trafficSet) wants(src, dst int32, port, at int64) bool {
	if src == nowhere {
		return false
	}
	if at == firetrail.Absent {
		at = never - 1
	}
	w := &s.sources[src]
	if at >= w.from {
		return true
	}
	if w.ports {
		if from, ok := s.ports[portKey{src, port}]; ok && at >= from {
			return true
		}
	}
	if w.pairs && dst != nowhere {
		if from, ok := s.pairs[pairKey{src, dst, firetrail.Absent}]; ok && at >= from {
			return true
		}
		if port != firetrail.Absent {
			from, ok := s.pairs[pairKey{src, dst, port}]
			return ok && at >= from
		}
	}
	return false
}
