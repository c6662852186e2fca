package parsers

import "encoding/binary"

// headers is what was met in the syslog headers of a source of records.
type headers struct {
	minute  minute
	sources [64]source
}

// minute is a year-less stamp up to its seconds: that of the next record is mostly the
// same so far.
type minute struct {
	text  [len("Mar  1 08:00:")]byte
	stamp stamp // kind is stampNone before one is met
}

// stamp is readStamp for the stamp of a header.
func (h *headers) stamp(b []byte) (s stamp, n int) {
	const seconds, end = len("Mar  1 08:00:"), len("Mar  1 08:00:00")
	if h == nil || len(b) < end+2 {
		return readStamp(b)
	}
	m := &h.minute
	if [seconds]byte(b) == m.text && m.stamp.kind == stampYearless && b[end] == ' ' && b[end+1]-'0' > 9 { // else a year may follow
		if second, ok := twoDigits(b[seconds:]); ok && second <= 60 {
			s = m.stamp
			s.second = second
			return s, end
		}
	}
	s, n = readStamp(b)
	if n == end && s.kind == stampYearless && b[seconds-1] == ':' {
		m.text, m.stamp = [seconds]byte(b), s
	}
	return s, n
}

// source is what stands behind the stamp: a host, if one is named, and a tag. What begins
// like one that was met, up to the blank behind its tag, cannot mean anything else,
// whatever follows, and need not be looked at again. It holds no memory of the record
// that it was met in.
type source struct {
	text           [80]byte // host, tag, and the blank behind them
	length         uint8    // of text that is used, 0: none
	host, tag, pid uint8    // their lengths; pid stands in brackets behind the tag
	body           uint8    // where the tag begins
}

// slot is where a source is kept that begins like b, nil if it is not kept.
func (h *headers) slot(b []byte) *source {
	if h == nil || len(b) < 8 {
		return nil
	}
	return &h.sources[binary.LittleEndian.Uint64(b)*0x9e3779b97f4a7c15>>58]
}

// find takes a known source that b begins with, and tells where its tag ends.
func (h *headers) find(b []byte, e *envelope) (end int, ok bool) {
	k := h.slot(b)
	if k == nil || k.length == 0 || len(b) < int(k.length) || string(b[:k.length]) != string(k.text[:k.length]) {
		return 0, false
	}
	line, tag := text(b), k.body+k.tag
	e.host, e.tag, e.body = line[:k.host], line[k.body:tag], b[k.body:]
	if k.pid > 0 {
		e.pid = line[tag+1 : tag+1+k.pid]
	}
	return int(k.length) - 1, true
}

// keep takes the source of a header, whose tag is n bytes long.
func (h *headers) keep(e *envelope, n int) {
	k := h.slot(e.rest)
	body := len(e.rest) - len(e.body)
	if length := body + n + 1; k != nil && length <= len(k.text) {
		*k = source{length: uint8(length), host: uint8(len(e.host)), tag: uint8(len(e.tag)), pid: uint8(len(e.pid)), body: uint8(body)}
		copy(k.text[:], e.rest[:length])
	}
}
