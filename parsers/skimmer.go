package parsers

import (
	"bufio"
	"bytes"
	"io"
	"math"
)

const (
	skimSample = 4 << 10   // bytes of lines of one day before a leap, and behind it
	skimLeap   = 256 << 10 // bytes that are leapt over
)

// skimmer reads the lines of a survey. In a file it leaps over bytes between lines of the
// same day, where there are many lines a day: a survey counts years, and a whole year,
// or a clock that is set back for good, does not fit between two lines of a day within
// so few bytes when those before and behind them take no more than that day.
type skimmer struct {
	*bufio.Reader
	file   io.ReaderAt // nil: a stream
	at     int64       // offset behind the latest line
	dense  int         // bytes of the latest lines, as far as they are of the same day
	tried  int64       // behind what is read after a leap was refused
	sample []byte
}

func newSkimmer(r io.Reader) *skimmer {
	if f, ok := r.(io.ReaderAt); ok {
		k := &skimmer{file: f, Reader: bufio.NewReaderSize(nil, 2*skimSample), sample: make([]byte, skimSample)}
		k.seek(0)
		return k
	}
	return &skimmer{Reader: bufio.NewReaderSize(r, 256<<10)}
}

// seek goes on at an offset of the file.
func (k *skimmer) seek(offset int64) {
	k.at, k.dense = offset, 0
	k.Reset(io.NewSectionReader(k.file, offset, math.MaxInt64-offset))
}

// same notes a line of the same day as the one before it.
func (k *skimmer) same(n int) { k.at += int64(n); k.dense += n }

// other notes another line.
func (k *skimmer) other(n int) { k.at += int64(n); k.dense = 0 }

// leap goes on skimLeap bytes further if the lines there are still of the day, and no earlier
// in it than the latest line.
func (k *skimmer) leap(day, latest []byte) {
	if k.file == nil || k.dense < skimSample || k.at < k.tried {
		return
	}
	n, _ := k.file.ReadAt(k.sample, k.at+skimLeap) // an error is met again when reading comes there
	_, rest, _ := bytes.Cut(k.sample[:n], []byte{'\n'})
	begin := k.at + skimLeap + int64(n-len(rest))
	for first := true; ; first = false {
		line, more, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole && !first {
			k.seek(begin)
			return
		}
		if !withinDay(line, day) || first && string(line[len(day):len(day)+clockLen]) < string(latest[len(day):len(day)+clockLen]) {
			k.tried = k.at + skimLeap
			return
		}
		rest = more
	}
}
