package parsers

import (
	"bytes"
	"errors"

	"firetrail"
)

// PaloAlto reads the logs of PAN-OS firewalls, Panorama, Prisma Access and the
// Strata Logging Service.
var PaloAlto = Format{
	Name:  "paloalto",
	Doc:   "Palo Alto Networks PAN-OS and Prisma: CSV, CEF, LEEF, JSON, exported CSV",
	Spec:  "PAN-OS syslog field descriptions 6.1 to 12.1; Strata Logging Service log reference",
	Sniff: sniffPaloAlto,
	New: func(ctx *Context) Parser {
		return &panParser{ctx: ctx, columns: make([]csvColumn, 0, 160)}
	},
}

// panParser reads one source. It keeps the header of an exported CSV; all else
// is scratch space for one record.
type panParser struct {
	ctx       *Context
	csv       []byte // what columns are of
	columns   []csvColumn
	header    []panColumn // of an exported CSV, nil before there is one
	names     string      // that header as it stands in the source
	aligned   bool        // the header has the order of the syslog columns
	pairs     []panPair   // of a CEF extension
	rec       []byte
	enveloped bool // rec has a syslog header
	latest    struct {
		text []byte // of the latest stamp that was read: a record repeats most of its own
		stamp
	}
	panRecord
}

// panRecord gathers what becomes common fields only when the whole record is known.
type panRecord struct {
	kind      *panType
	dialect   panDialect
	subtype   []byte
	receive   stamp
	generated stamp
	start     stamp
	precise   stamp // high-resolution time generated, with its zone
	device    stamp // the time received once more, with its zone (LEEF devTime)
	elapsed   int64 // seconds, Absent
	utc       bool  // the record says that its stamps are in UTC
	serial    []byte
	name      []byte // of the device
	source    []byte // the column of the source address
	url       []byte // the column "URL/Filename" of THREAT
	threat    []byte
}

type panDialect uint8

const (
	panCSV panDialect = iota
	panCEF            // format defined by the user on the firewall
	panCEFStrata
	panLEEF
	panJSON
)

// Parse reads one record in any of the dialects.
func (p *panParser) Parse(rec []byte, ev *firetrail.Event) error {
	p.rec = rec
	if body := bytes.TrimPrefix(rec, []byte("\xef\xbb\xbf")); panHeaderLine(body) {
		return p.readHeader(body)
	}
	if panAround(rec) {
		return ErrHeader
	}
	if p.header == nil && !panPossible(rec) {
		return ErrOther
	}
	p.panRecord = panRecord{elapsed: firetrail.Absent}
	env, msg, enveloped := p.ctx.envelope(rec)
	p.enveloped = enveloped
	err := p.body(msg, ev)
	if err == ErrOther && len(env.body) > len(msg) {
		err = p.body(env.body, ev)
	}
	if err == ErrOther {
		err = p.body(panGlued(rec), ev)
	}
	if i := panMark(rec); err == ErrOther && i >= 0 { // the header took the mark for its own
		err = p.body(rec[i:], ev)
	}
	if err != nil {
		return err
	}
	return p.finish(env, ev)
}

// panAround reports whether a line has nothing but what stands around the objects of a
// JSON array.
func panAround(rec []byte) bool {
	for _, c := range rec {
		if c != '[' && c != ']' && c != ',' && c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// panPossible reports whether a line has what no record of any dialect lacks: the
// commas up to the log type, the bars of CEF and LEEF, or an object. Most lines of
// other programs have none of it and are declined before their header is read.
func panPossible(rec []byte) bool {
	const head = 256 // where a record of CSV has them
	return bytes.Count(rec[:min(len(rec), head)], []byte{','}) >= panLeadCommas || bytes.IndexByte(rec, '{') >= 0 || bytes.IndexByte(rec, '|') >= 0 || bytes.Count(rec, []byte{','}) >= panLeadCommas
}

// body finds out the dialect of a message and reads it.
func (p *panParser) body(msg []byte, ev *firetrail.Event) error {
	msg = trimLeft(msg)
	if len(msg) == 0 {
		return ErrOther
	}
	if open := panObject(msg); open >= 0 {
		return p.readJSON(msg[open:], ev)
	}
	if i := panMark(msg); i >= 0 {
		if msg[i] == 'C' {
			return p.readCEF(msg[i:], ev)
		}
		return p.readLEEF(msg[i:], ev)
	}
	if p.header != nil && !p.enveloped && bytes.IndexByte(msg, ',') >= 0 {
		return p.readExport(msg, ev)
	}
	return p.readCSV(msg, ev)
}

// panGlued is the record from the word on that holds the first comma: the first
// column stands there, whatever header is in front of it.
func panGlued(rec []byte) []byte {
	comma := bytes.IndexByte(rec[:min(len(rec), 512)], ',')
	if comma < 0 {
		return nil
	}
	return rec[bytes.LastIndexByte(rec[:comma], ' ')+1:]
}

// panMark finds the "CEF:" or "LEEF:" that a message of this vendor begins with,
// behind no more than a few words of header. -1 if there is none.
func panMark(msg []byte) int {
	head := msg[:min(len(msg), 256)]
	vendor := bytes.Index(head, []byte("|Palo Alto Networks|"))
	if vendor < 0 {
		return -1
	}
	if i := bytes.LastIndex(head[:vendor], []byte("CEF:")); i >= 0 {
		return i
	}
	return bytes.LastIndex(head[:vendor], []byte("LEEF:"))
}

// bad refuses the record because of the column or key named name.
func (p *panParser) bad(name string, value []byte, expected string) error {
	const shown = 64
	return reject(p.at(value), "%s %s %q is not %s", p.kind.name, name, value[:min(len(value), shown)], expected)
}

// at is the column of a part of the record, from 1; 0 if it does not alias it.
func (p *panParser) at(part []byte) int {
	off := cap(p.rec) - cap(part)
	if cap(part) == 0 || off < 0 || off >= len(p.rec) || &p.rec[off] != &part[:1][0] {
		return 0
	}
	return off + 1
}

// sniffPaloAlto looks for one record of any dialect in the head.
func sniffPaloAlto(head []byte) error {
	lines := 0
	p := panParser{ctx: newContext(Options{})}
	for rest := head; len(rest) > 0 && lines < 2000; lines++ {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if p.recognises(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))) {
			return nil
		}
	}
	if lines == 0 {
		return errors.New("there is no text")
	}
	return errors.New("no line has a PAN-OS log type (TRAFFIC, THREAT, SYSTEM …) in its fourth column, " +
		"none is CEF or LEEF of Palo Alto Networks or JSON with their LogType, and there is no header of an export")
}

// recognises reports whether a line is a record or a header of this format,
// without reading it.
func (p *panParser) recognises(line []byte) bool {
	if panHeaderLine(line) {
		return true
	}
	env, msg, _ := p.ctx.envelope(line)
	for _, b := range [...][]byte{msg, env.body, panGlued(line), line} {
		b = trimLeft(b)
		if len(b) == 0 {
			continue
		}
		if open := panObject(b); open >= 0 {
			if panJSONType(b[open:]) != nil {
				return true
			}
			continue
		}
		if _, _, known := panLead(b); known || panMark(b) >= 0 {
			return true
		}
	}
	return false
}
