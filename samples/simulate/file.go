package simulate

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// logFile writes the records of one sensor into files that rotate at midnight,
// counts their lines and does the damage that was asked for.
type logFile struct {
	sim     *simulation
	name    func(day int) string // path below the output folder; ".gz" compresses
	header  func(w *logFile)     // written at the head of every file
	trailer string
	day     int
	path    string
	records int64 // lines or packets of the current file
	out     *bufio.Writer
	zip     *gzip.Writer
	file    *os.File
	buf     []byte
	binary  bool // no lines: never damaged
	harm    *harm
	held    []byte // a line that comes after its successor
	heldBy  *Session
	heldAt  int64
	open    bool
}

// newFile opens no file yet: the first record does.
func (sim *simulation) newFile(name func(day int) string) *logFile {
	f := &logFile{sim: sim, name: name, day: -1, buf: make([]byte, 0, 4096), harm: sim.harmFor(uint64(len(sim.files)) + 1)}
	sim.files = append(sim.files, f)
	return f
}

// at makes the file of the record's day current.
func (f *logFile) at(t int64) error {
	d := int((t - f.sim.opt.start()) / day)
	d = min(max(d, f.day, 0), f.sim.opt.Days-1)
	if d == f.day {
		return nil
	}
	if err := f.close(); err != nil {
		return err
	}
	f.day, f.records = d, 0
	f.path = filepath.ToSlash(filepath.Join("logs", f.name(d)))
	full := filepath.Join(f.sim.opt.Out, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(full, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	f.file, f.open = file, true
	f.sim.written++
	var w io.Writer = file
	if strings.HasSuffix(f.path, ".gz") {
		// The fastest level: compression costs more than everything else here.
		if f.zip, err = gzip.NewWriterLevel(file, gzip.BestSpeed); err != nil {
			return err
		}
		w = f.zip
	}
	f.out = bufio.NewWriterSize(w, 64<<10)
	if f.header != nil {
		f.header(f)
	}
	return nil
}

// write ends the record in f.buf, which is of session s, nil for none; t is the
// time as recorded.
func (f *logFile) write(s *Session, t int64, kind string) error {
	if f.harm != nil && !f.binary {
		return f.damaged(s, t, kind)
	}
	return f.emit(f.buf, s, t, kind)
}

func (f *logFile) emit(record []byte, s *Session, t int64, kind string) error {
	f.records++
	f.sim.events++
	f.sim.bytes += int64(len(record))
	if s != nil {
		if s.plant > 0 {
			f.sim.truth.line(s.plant, f.path, f.records, t, kind, s)
		}
		if f.sim.opt.Observe != nil {
			f.sim.opt.Observe(Record{Path: f.path, Line: f.records, Kind: kind, Time: t, Session: s})
		}
	}
	_, err := f.out.Write(record)
	return err
}

// line writes a header or comment line, which is no record.
func (f *logFile) line(text string) {
	f.records++
	f.out.WriteString(text)
	f.out.WriteByte('\n')
}

// close ends the current file and gives it the time of its last record, from
// which readers resolve the year of stamps that have none.
func (f *logFile) close() error {
	if !f.open {
		return nil
	}
	f.open = false
	if f.held != nil {
		held, by := f.held, f.heldBy
		f.held, f.heldBy = nil, nil
		if err := f.emit(held, by, f.heldAt, "reordered"); err != nil {
			return err
		}
	}
	if f.trailer != "" {
		f.line(f.trailer)
	}
	if err := f.out.Flush(); err != nil {
		return err
	}
	if f.zip != nil {
		if err := f.zip.Close(); err != nil {
			return err
		}
		f.zip = nil
	}
	if err := f.file.Close(); err != nil {
		return err
	}
	end := time.Unix(0, f.sim.opt.start()+int64(f.day+1)*day).UTC()
	return os.Chtimes(filepath.Join(f.sim.opt.Out, filepath.FromSlash(f.path)), end, end)
}

// rotated names files as logrotate does: the last day has the bare name, the
// day before ".1", older ones ".2.gz", ".3.gz" …
func rotated(name string, days int) func(int) string {
	return func(d int) string {
		switch age := days - 1 - d; {
		case age == 0:
			return name
		case age == 1:
			return name + ".1"
		default:
			return name + "." + strconv.Itoa(age) + ".gz"
		}
	}
}

// dated names files by their day; the files of older days are compressed where zip is set.
func dated(before, after string, start int64, days int, zip bool) func(int) string {
	return func(d int) string {
		name := before + time.Unix(0, start+int64(d)*day).UTC().Format("2006-01-02-15-04-05") + after
		if zip && d < days-1 {
			name += ".gz"
		}
		return name
	}
}
