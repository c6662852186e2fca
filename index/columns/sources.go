package columns

import (
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// Run is how many rows, one behind the other, are of one source.
type Run struct {
	Source string // id
	Rows   int64
}

// oneSource gives the source of all runs, "" if there are several.
func oneSource(runs []Run) string {
	for i := range runs {
		if runs[i].Source != runs[0].Source {
			return ""
		}
	}
	if len(runs) == 0 {
		return ""
	}
	return runs[0].Source
}

// takeRows takes the runs of the next rows off the front of runs.
func takeRows(runs []Run, rows int64) (taken, rest []Run, err error) {
	for rows > 0 {
		if len(runs) == 0 {
			return nil, nil, fmt.Errorf("write segment: %d rows have no source", rows)
		}
		r := runs[0]
		if r.Rows > rows {
			taken = append(taken, Run{r.Source, rows})
			runs = append([]Run{{r.Source, r.Rows - rows}}, runs[1:]...)
			return taken, runs, nil
		}
		taken, runs, rows = append(taken, r), runs[1:], rows-r.Rows
	}
	return taken, runs, nil
}

// sources makes the chunk of the column source for the rows of a group.
func (e *Encoder) sources(ch *chunk, runs []Run, rows int) error {
	if one := oneSource(runs); one != "" {
		return e.constant(ch, one, rows)
	}
	d, codes := newTextDict(), make([]uint32, 0, rows)
	for _, r := range runs {
		code := d.code(r.Source)
		for range r.Rows {
			codes = append(codes, code)
		}
	}
	ch.meta.Type, ch.meta.NumValues = format.ByteArray, int64(rows)
	if err := e.dictionary(ch, &d.Dict); err != nil {
		return err
	}
	return e.codedPages(ch, codes, BlockRows, false, true)
}

// sourceOf gives the source of a row of the block.
func (r *Reader) sourceOf(row int) (string, error) {
	if r.seg.source != "" {
		return r.seg.source, nil
	}
	v, err := r.Vector(r.seg.byName["source"])
	if err != nil {
		return "", err
	}
	id, ok := v.Text(row)
	if !ok {
		return "", corrupt(r.seg.file.Name(), "row %d of block %d has no source", row, r.block)
	}
	return id, nil
}
