package detect

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
)

// nameCount finds the sources that ask for many distinct names under one registered domain,
// whatever the order of the questions. It keeps hashes of the names of each source and domain
// until there are enough of them.
type nameCount struct {
	enough  int
	sources map[netip.Addr]uint32
	domains map[string]uint32
	zones   map[uint64][]uint32 // source and domain → sorted hashes of names; nil once they are enough
	reached []zoneKey           // those that have enough, sorted; see add
	cached  []cachedName
	full    bool // there were more zones than maxCounted
}

// maxCounted bounds the zones, which take some 60 bytes each and 4 for each name.
const maxCounted = 1 << 20

// cachedName is what was found of a name: most questions repeat one.
type cachedName struct {
	name   string
	hash   uint32
	domain uint32 // 0: none that a tunnel would use
}

func newNameCount(enough int) *nameCount {
	return &nameCount{enough: enough, sources: map[netip.Addr]uint32{}, domains: map[string]uint32{}, zones: map[uint64][]uint32{}, cached: make([]cachedName, 1<<14)}
}

// add counts a question for a name in lower case.
func (c *nameCount) add(src netip.Addr, name string) {
	x := c.look(name)
	if x.domain == 0 {
		return
	}
	s, known := c.sources[src]
	if !known {
		s = uint32(len(c.sources))
		c.sources[src] = s
	}
	key := uint64(s)<<32 | uint64(x.domain)
	names, known := c.zones[key]
	switch {
	case known && names == nil:
		return
	case !known && len(c.zones) == maxCounted:
		c.full = true
		return
	}
	at, found := slices.BinarySearch(names, x.hash)
	if found {
		return
	}
	if names = slices.Insert(names, at, x.hash); len(names) >= c.enough {
		k := zoneKey{src, registered(name)}
		i, _ := slices.BinarySearchFunc(c.reached, k, compareZones)
		k.domain = strings.Clone(k.domain)
		c.reached = slices.Insert(c.reached, i, k)
		names = nil
	}
	c.zones[key] = names
}

func compareZones(a, b zoneKey) int {
	if c := a.src.Compare(b.src); c != 0 {
		return c
	}
	return strings.Compare(a.domain, b.domain)
}

// look gives the name's hash and the number of its domain.
func (c *nameCount) look(name string) *cachedName {
	h := hashOf(name)
	x := &c.cached[h%uint64(len(c.cached))]
	if x.name == name && name != "" {
		return x
	}
	*x = cachedName{name: strings.Clone(name), hash: uint32(h >> 32)}
	if domain := registered(name); domain != "" && domain != name {
		n, known := c.domains[domain]
		c.full = c.full || !known && len(c.domains) == maxCounted
		if !known && len(c.domains) < maxCounted {
			n = uint32(len(c.domains)) + 1
			c.domains[strings.Clone(domain)] = n
		}
		x.domain = n
	}
	return x
}

func hashOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}
