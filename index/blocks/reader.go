package blocks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"firetrail"
	"firetrail/index/query"

	"github.com/blevesearch/mmap-go"
	"github.com/blevesearch/vellum"
)

// Index is the open file of a segment. Its methods may be called from several
// goroutines at once.
type Index struct {
	path string
	n    int // blocks
	data mmap.MMap
	dict *vellum.FST
	sets []byte
}

// Open opens the file of a segment that has the given number of blocks. An error
// that wraps fs.ErrNotExist or ErrDamaged means that the file must be made again.
// The checksum is not looked at: Check does that.
func Open(path string, blocks int) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open block index: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open block index: %w", err)
	}
	if info.Size() < int64(len(magic)+footer) {
		return nil, damaged(path, "%d bytes are too few", info.Size())
	}
	data, err := mmap.Map(f, mmap.RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open block index %s: %w", path, err)
	}
	x := &Index{path: path, n: blocks, data: data}
	if err := x.read(); err != nil {
		data.Unmap()
		return nil, err
	}
	return x, nil
}

// read finds the parts of the file.
func (x *Index) read() (err error) {
	defer x.recovered(&err)
	end := x.data[len(x.data)-footer:]
	if string(end[20:]) != magic || string(x.data[:len(magic)]) != magic {
		return damaged(x.path, "no footer at the end")
	}
	n, sets := int(binary.LittleEndian.Uint32(end)), int(binary.LittleEndian.Uint32(end[4:]))
	dict := binary.LittleEndian.Uint64(end[8:])
	if n != x.n {
		return damaged(x.path, "%d blocks, expected %d", n, x.n)
	}
	room := uint64(len(x.data) - len(magic) - footer)
	if dict > room || uint64(sets)*uint64((n+7)/8) != room-dict {
		return damaged(x.path, "parts of %d and %d bytes in %d", dict, sets, room)
	}
	x.sets = x.data[len(magic)+int(dict) : len(x.data)-footer]
	x.dict, err = vellum.Load(x.data[len(magic) : len(magic)+int(dict)])
	if err != nil {
		return damaged(x.path, "%v", err)
	}
	return nil
}

// recovered turns a panic of the dictionary's reader, which trusts its offsets,
// into an error.
func (x *Index) recovered(err *error) {
	if r := recover(); r != nil {
		*err = damaged(x.path, "%v", r)
	}
}

// Close closes the file; nothing else may be called then.
func (x *Index) Close() error { return x.data.Unmap() }

// Check reads a whole file and compares its checksum.
func Check(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("check block index: %w", err)
	}
	at := len(data) - len(magic) - 4
	if at < len(magic) || crc32.Checksum(data[:at], castagnoli) != binary.LittleEndian.Uint32(data[at:]) {
		return damaged(path, "its checksum does not match")
	}
	return nil
}

// Match finds the blocks that have what n, which must be an OpMatch, asks of terms.
// What it asks beside terms is not looked at.
func (x *Index) Match(n query.Need) (set Set, err error) {
	defer func() {
		x.recovered(&err)
		if err != nil {
			set = All(x.n)
		}
	}()
	if n.Op != firetrail.OpMatch || n.Bloom || n.Bounded && n.Keys == nil {
		return All(x.n), nil
	}
	for _, k := range append([]string{query.Over(n.Field)}, n.Keys...) {
		value, ok, err := x.dict.Get([]byte(k))
		if err == nil && ok {
			err = x.add(&set, value)
		}
		if err != nil {
			return set, damaged(x.path, "%v", err)
		}
	}
	switch {
	case n.Keys != nil:
		return set, nil
	case n.From != "":
		err = x.scan([]byte(n.From), append([]byte(n.To), 0), func(_ []byte, value uint64) (bool, error) {
			return set.Len() < x.n, x.add(&set, value)
		})
		return set, err
	}
	head := len(query.TermKey(n.Field, ""))
	start := []byte(query.TermKey(n.Field, n.Prefix))
	err = x.scan(start, after(start), func(key []byte, value uint64) (bool, error) {
		if x.has(&set, value) || n.Test != nil && !n.Test(string(key[head:])) {
			return true, nil
		}
		return set.Len() < x.n, x.add(&set, value)
	})
	return set, err
}

// has reports whether set has all blocks that value stands for, as far as that is
// cheap to say: it spares tests of terms.
func (x *Index) has(set *Set, value uint64) bool {
	return value&1 != 0 && value>>1 < uint64(x.n) && set.Has(int(value>>1))
}

// add adds the blocks that a term's value stands for.
func (x *Index) add(set *Set, value uint64) error {
	if value&1 != 0 {
		if value>>1 >= uint64(x.n) {
			return damaged(x.path, "block %d of %d", value>>1, x.n)
		}
		set.Add(int(value >> 1))
		return nil
	}
	width := uint64(x.n+7) / 8
	at := value >> 1 * width
	if value>>1 > uint64(len(x.sets)) || at+width > uint64(len(x.sets)) {
		return damaged(x.path, "set %d", value>>1)
	}
	for i, b := range x.sets[at : at+width] {
		set[i/8] |= uint64(b) << (i % 8 * 8)
	}
	return nil
}

// scan calls yield with the terms of [start, end), in their order, until it returns
// false. key is valid during the call.
func (x *Index) scan(start, end []byte, yield func(key []byte, value uint64) (bool, error)) error {
	it, err := x.dict.Iterator(start, end)
	for err == nil {
		more, yerr := yield(it.Current())
		if yerr != nil || !more {
			return yerr
		}
		err = it.Next()
	}
	if errors.Is(err, vellum.ErrIteratorDone) {
		return nil
	}
	return damaged(x.path, "%v", err)
}

// after is the smallest key greater than all that begin with prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

// Fields calls yield with the names of the fields that have terms in the index, those of
// which a block keeps none included, until it returns false: in no order, and maybe twice.
// Words are no field.
func (x *Index) Fields(yield func(name string) bool) (err error) {
	defer x.recovered(&err)
	for start := []byte{0}; ; {
		name, more := "", false
		err := x.scan(start, nil, func(key []byte, _ uint64) (bool, error) {
			over, found := strings.CutPrefix(string(key), query.Over(""))
			name, _, _ = strings.Cut(over, "\x00")
			// The next field begins behind all terms of this one.
			if more = true; found {
				start = []byte(query.Over(name) + "\x00")
			} else {
				start = []byte(name + "\x01")
			}
			return false, nil
		})
		if err != nil || !more {
			return err
		}
		if name != query.WordsField && !yield(name) {
			return nil
		}
	}
}

// Addrs calls yield with the addresses of a field that begin with prefix as they are
// printed, in their order, until it returns false.
func (x *Index) Addrs(field, prefix string, yield func(addr string) bool) (err error) {
	defer x.recovered(&err)
	for _, bits := range []int{32, 128} {
		key := append([]byte(query.TermKey(field, "")), byte(bits))
		if bits == 32 {
			key[len(key)-1] |= 0x80  // see query.AddrTerm
			for whole := prefix; ; { // whole octets narrow the search
				octet, rest, ok := strings.Cut(whole, ".")
				n, err := strconv.ParseUint(octet, 10, 8)
				if !ok || err != nil {
					break
				}
				key, whole = append(key, byte(n)), rest
			}
		}
		head := len(query.TermKey(field, "")) + 1
		more := true
		err := x.scan(key, after(key), func(key []byte, _ uint64) (bool, error) {
			a, ok := netip.AddrFromSlice(key[head:])
			if text := a.String(); ok && strings.HasPrefix(text, prefix) {
				more = yield(text)
			}
			return more, nil
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Values calls yield with the values of a field that begin with prefix, in the
// order of their terms, and the number of blocks that have each, until it
// returns false: for completion. Values are folded; those that were cut are left
// out. It is for texts and names.
func (x *Index) Values(field, prefix string, yield func(value string, blocks int) bool) (err error) {
	defer x.recovered(&err)
	low := query.Fold(prefix)
	if field == "host" {
		low = "" // names are kept back to front
	}
	start := []byte(query.TermKey(field, low))
	head := len(query.TermKey(field, ""))
	return x.scan(start, after(start), func(key []byte, value uint64) (bool, error) {
		text, whole := query.TermText(field, string(key[head:]))
		if !whole || !strings.HasPrefix(text, query.Fold(prefix)) {
			return true, nil
		}
		var set Set
		err := x.add(&set, value)
		return yield(text, set.Len()), err
	})
}
