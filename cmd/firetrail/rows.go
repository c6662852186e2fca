package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"firetrail"
)

// rows writes a table of results in the format that was asked for: "table" for
// people, "json" one list, "jsonl" an object a line, "csv" and "tsv" with a
// header. Text is inert in every one of them.
type rows struct {
	w       *bufio.Writer
	format  string
	columns []string
	paint   func(severity string) string // colours a severity, of tables only
	pending [][]string                   // a table's rows until its widths are known
	widths  []int
	started bool
	n       int64
}

// tableLookahead is how many rows decide the widths of a table; later rows are
// written as they come.
const tableLookahead = 500

func (a *app) rows(columns ...string) *rows {
	return &rows{w: bufio.NewWriterSize(a.stdout, 64<<10), format: a.output(), columns: columns, paint: a.paint}
}

// add writes one row. Values are strings, integers, floats, bools, nil, or
// anything that encodes itself as JSON.
func (r *rows) add(values ...any) error {
	r.n++
	switch r.format {
	case "json", "jsonl":
		return r.addJSON(values)
	}
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = cell(v)
	}
	switch r.format {
	case "csv":
		return r.addSeparated(cells, values, ',')
	case "tsv":
		return r.addSeparated(cells, values, '\t')
	}
	r.pending = append(r.pending, cells)
	if !r.started && len(r.pending) < tableLookahead {
		return nil
	}
	return r.flushTable()
}

// object writes one ready JSON object (json and jsonl only).
func (r *rows) object(v any) error {
	r.n++
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return r.line(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// line writes one JSON value.
func (r *rows) line(value []byte) error {
	if r.format == "json" {
		if r.started {
			r.w.WriteString(",\n ")
		} else {
			r.w.WriteString("[\n ")
		}
		r.started = true
		_, err := r.w.Write(value)
		return err
	}
	r.w.Write(value)
	return r.w.WriteByte('\n')
}

func (r *rows) addJSON(values []any) error {
	b := []byte{'{'}
	for i, v := range values {
		if v == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, r.columns[i])
		b = append(b, ':')
		var one bytes.Buffer
		enc := json.NewEncoder(&one)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return err
		}
		b = append(b, bytes.TrimSuffix(one.Bytes(), []byte("\n"))...)
	}
	return r.line(append(b, '}'))
}

// addSeparated writes a CSV or TSV row. A text that a spreadsheet would take
// for a formula gets an apostrophe in front.
func (r *rows) addSeparated(cells []string, values []any, sep byte) error {
	if !r.started {
		r.started = true
		header := make([]any, len(r.columns))
		for i, c := range r.columns {
			header[i] = c
		}
		if err := r.addSeparated(r.columns, header, sep); err != nil {
			return err
		}
	}
	for i, c := range cells {
		if i > 0 {
			r.w.WriteByte(sep)
		}
		if _, isText := values[i].(string); isText && c != "" && strings.IndexByte("=+-@", c[0]) >= 0 {
			c = "'" + c
		}
		if sep == ',' && strings.ContainsAny(c, ",\"") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		r.w.WriteString(c)
	}
	return r.w.WriteByte('\n')
}

// flushTable writes the pending rows of a table.
func (r *rows) flushTable() error {
	if !r.started {
		r.started = true
		r.widths = make([]int, len(r.columns))
		r.pending = append([][]string{r.columns}, r.pending...)
		for _, cells := range r.pending {
			for i, c := range cells {
				r.widths[i] = max(r.widths[i], min(utf8.RuneCountInString(c), 60))
			}
		}
	}
	for _, cells := range r.pending {
		for i, c := range cells {
			if r.columns[i] == "severity" {
				r.w.WriteString(r.paint(c))
			} else {
				r.w.WriteString(c)
			}
			if i < len(cells)-1 {
				r.w.WriteString(strings.Repeat(" ", max(0, r.widths[i]-utf8.RuneCountInString(c))+2))
			}
		}
		r.w.WriteByte('\n')
	}
	r.pending = r.pending[:0]
	return nil
}

// close writes what is left.
func (r *rows) close() error {
	switch {
	case r.format == "json" && r.started:
		r.w.WriteString("\n]\n")
	case r.format == "json":
		r.w.WriteString("[]\n")
	case r.format == "table" && (len(r.pending) > 0 || !r.started && r.n > 0):
		if err := r.flushTable(); err != nil {
			return err
		}
	case (r.format == "csv" || r.format == "tsv") && !r.started:
		sep := ","
		if r.format == "tsv" {
			sep = "\t"
		}
		r.w.WriteString(strings.Join(r.columns, sep) + "\n")
	}
	return r.w.Flush()
}

// cell prints a value for people.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return firetrail.Inert(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []string:
		return firetrail.Inert(strings.Join(v, " "))
	}
	return firetrail.Inert(fmt.Sprint(v))
}

// document writes one indented JSON document.
func document(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(v)
}
