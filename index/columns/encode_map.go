package columns

import (
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// encodeMap writes the two leaves of the map column.
func (e *Encoder) encodeMap(ch []chunk, m *mapColumn, rows int) error {
	for i, part := range []struct {
		dict  *textDict
		codes []uint32
	}{{m.keys, m.key}, {m.values, m.value}} {
		c := &ch[i]
		c.meta.Type = format.ByteArray
		if len(m.rows) == 0 {
			c.meta.NumValues = int64(rows)
			c.meta.Statistics.NullCount = int64(rows)
			s := pageShape{rows: rows, entries: rows, nulls: rows}
			s.reps, s.defs = same(rows, 0), same(rows, 0)
			if err := e.dataPage(c, s, nil, nil, format.Plain); err != nil {
				return err
			}
			continue
		}
		part.dict.binary = !part.dict.valid()
		size := 0
		for _, code := range part.codes {
			size += int(part.dict.offs[code+1] - part.dict.offs[code])
		}
		coded := part.dict.pays(len(part.codes), size)
		if coded {
			if err := e.dictionary(c, &part.dict.Dict); err != nil {
				return err
			}
		}
		if err := e.mapPages(c, m.rows, part.codes, part.dict, rows, coded); err != nil {
			return err
		}
	}
	return nil
}

// mapPages writes the pages of one leaf of the map: each block's entries, with
// the levels that say which belong to one row and which rows have none.
func (e *Encoder) mapPages(c *chunk, at, codes []uint32, dict *textDict, rows int, coded bool) error {
	from := 0
	for first := 0; first < rows; first += BlockRows {
		s := pageShape{first: first, rows: min(BlockRows, rows-first)}
		var reps, defs []byte
		to := from
		for row := first; row < first+s.rows; row++ {
			start := to
			for to < len(at) && at[to] == uint32(row) {
				reps = append(reps, byte(min(to-start, 1)))
				defs = append(defs, 2)
				to++
			}
			if to == start {
				reps, defs = append(reps, 0), append(defs, 0)
				s.nulls++
			}
		}
		s.entries = len(reps)
		s.reps, _ = (&rle.Encoding{BitWidth: 1}).EncodeLevels(nil, reps)
		s.defs, _ = (&rle.Encoding{BitWidth: 2}).EncodeLevels(nil, defs)
		c.meta.NumValues += int64(s.entries)
		c.meta.Statistics.NullCount += int64(s.nulls)
		var err error
		if coded {
			e.codes = codes[from:to]
			err = e.codesPage(c, s)
		} else {
			pack := func(enc format.Encoding) []byte { return e.packText(&dict.Dict, codes[from:to], enc) }
			err = e.page(c, s, pack, format.DeltaLengthByteArray)
		}
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}
