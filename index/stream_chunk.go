package index

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"firetrail"
	"firetrail/index/columns"
)

// chunk is matching rows of a block in the total order, with the wanted columns.
type chunk struct {
	kind    string
	sources []string // by their places, which rows have
	rows    []rowRef
	at      int // the next row to yield
	cells   []cells
	rest    [][]firetrail.Field // of the map column; nil without one
	cut     bool                // the block has other rows: what it holds is for these alone
}

// cells are the values of one column for the rows of a chunk.
type cells struct {
	name  string // of a record's own field, without its "x."
	def   *firetrail.FieldDef
	put   func(*cells, int, *firetrail.Event)
	ints  []int64
	codes []uint32
	dict  *columns.Dict
	addrs []netip.Addr
}

func (c *chunk) head() *rowRef { return &c.rows[c.at] }

// empty lets go of what the values of a chunk lie in, but for memory to use again.
func (c *chunk) empty() {
	for i := range c.cells {
		c.cells[i].dict, c.cells[i].addrs = nil, nil
	}
	clear(c.rest)
}

// gather takes the given columns of the rows, and what every event has, from a reader
// that stands on the chunk's block.
func (c *chunk) gather(r *columns.Reader, seg *columns.Segment, list []int, fields []string) error {
	c.cells, c.rest = c.cells[:0], c.rest[:0]
	for _, name := range [...]string{"line", "length"} {
		i, ok := seg.Column(name)
		if !ok {
			return columns.ErrCorrupt
		}
		if err := c.column(r, seg, i); err != nil {
			return err
		}
	}
	for _, i := range list {
		switch info := &seg.Columns()[i]; {
		case info.Type == columns.Map:
			if err := c.own(r, fields); err != nil {
				return err
			}
		case info.Name != "line" && info.Name != "length" && info.Name != "time" && info.Name != "offset":
			if err := c.column(r, seg, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// own takes the wanted fields of the map column.
func (c *chunk) own(r *columns.Reader, fields []string) error {
	all := slices.Contains(fields, "x.*")
	for i := range c.rows {
		rest, err := r.Rest(int(c.rows[i].row))
		if err != nil {
			return err
		}
		var kept []firetrail.Field
		for _, f := range rest {
			if all || slices.ContainsFunc(fields, func(name string) bool { return len(name) > 2 && name[:2] == "x." && name[2:] == f.Name }) {
				kept = append(kept, f)
			}
		}
		c.rest = append(c.rest, kept)
	}
	return nil
}

// column takes one column.
func (c *chunk) column(r *columns.Reader, seg *columns.Segment, i int) error {
	info := &seg.Columns()[i]
	v, err := r.Vector(i)
	if err != nil {
		return err
	}
	if len(c.cells) < cap(c.cells) {
		c.cells = c.cells[:len(c.cells)+1]
	} else {
		c.cells = append(c.cells, cells{})
	}
	x := &c.cells[len(c.cells)-1]
	x.name, x.def, x.ints, x.codes, x.dict, x.addrs = strings.TrimPrefix(info.Name, "x."), info.Field, x.ints[:0], x.codes[:0], v.Dict, nil
	rows := c.rows
	if v.Type == columns.Int {
		ints := v.Ints()
		x.ints = slices.Grow(x.ints, len(rows))[:len(rows)]
		for i := range rows {
			x.ints[i] = ints[rows[i].row]
		}
		x.put = putsInt(info)
		return nil
	}
	x.codes = slices.Grow(x.codes, len(rows))[:len(rows)]
	for i := range rows {
		x.codes[i] = v.Codes[rows[i].row]
	}
	if c.cut {
		x.dict = v.Dict.Of(x.codes)
	}
	x.put = putsText(info)
	if info.Field != nil && info.Field.Addr != nil {
		x.addrs = x.dict.Addrs()
		for _, code := range x.codes {
			if code != columns.Null && !x.addrs[code].IsValid() {
				return fmt.Errorf("column %s holds %q: %w", info.Name, x.dict.Value(code), columns.ErrCorrupt)
			}
		}
	}
	return nil
}

// putsInt is how the numbers of a column get into an event.
func putsInt(info *columns.Info) func(*cells, int, *firetrail.Event) {
	switch {
	case info.Field != nil:
		return func(x *cells, i int, ev *firetrail.Event) { *x.def.Int(ev) = x.ints[i] }
	case info.Name == "length":
		return func(x *cells, i int, ev *firetrail.Event) { ev.Length = x.ints[i] }
	}
	return func(x *cells, i int, ev *firetrail.Event) {
		if n := x.ints[i]; n != firetrail.Absent {
			ev.Put(x.name, strconv.FormatInt(n, 10))
		}
	}
}

// putsText is how the texts of a column get into an event.
func putsText(info *columns.Info) func(*cells, int, *firetrail.Event) {
	switch {
	case info.Field != nil && info.Field.Addr != nil:
		return func(x *cells, i int, ev *firetrail.Event) {
			if code := x.codes[i]; code != columns.Null {
				*x.def.Addr(ev) = x.addrs[code]
			}
		}
	case info.Field != nil:
		return func(x *cells, i int, ev *firetrail.Event) {
			if code := x.codes[i]; code != columns.Null {
				*x.def.Text(ev) = x.dict.Value(code)
			}
		}
	case info.Name == "time_guess":
		return func(x *cells, i int, ev *firetrail.Event) {
			if code := x.codes[i]; code != columns.Null {
				ev.Guess = columns.GuessNamed(x.dict.Value(code))
			}
		}
	}
	return func(x *cells, i int, ev *firetrail.Event) {
		if code := x.codes[i]; code != columns.Null {
			ev.Put(x.name, x.dict.Value(code))
		}
	}
}

// fill makes the event of a row.
func (c *chunk) fill(ev *firetrail.Event, i int) {
	ev.Reset()
	row := &c.rows[i]
	ev.Source, ev.Kind, ev.Time, ev.Offset = c.sources[row.rank], c.kind, row.time, row.offset
	if len(c.rest) > 0 {
		ev.X = append(ev.X, c.rest[i]...)
	}
	for n := range c.cells {
		x := &c.cells[n]
		x.put(x, i, ev)
	}
}
