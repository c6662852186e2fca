package parsers

import "encoding/binary"

// sources are what was met in syslog headers behind the stamp: a host, if one is
// named, and a tag. What begins like one of them up to the blank behind its tag cannot
// mean anything else, whatever follows, and need not be looked at again.
type sources [32]source

// source is one of them. It holds no memory of the record that it was met in.
type source struct {
	text           [80]byte // host, tag, and the blank behind them
	length         uint8    // of text that is used, 0: none
	host, tag, pid uint8    // their lengths; pid stands in brackets behind the tag
	body           uint8    // where the tag begins
}

// slot is where a source is kept that begins like b, nil if it is not kept.
func (s *sources) slot(b []byte) *source {
	if s == nil || len(b) < 8 {
		return nil
	}
	return &s[binary.LittleEndian.Uint64(b)*0x9e3779b97f4a7c15>>59]
}

// find takes a known source that b begins with, and tells where its tag ends.
func (s *sources) find(b []byte, e *envelope) (end int, ok bool) {
	k := s.slot(b)
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
func (s *sources) keep(e *envelope, n int) {
	k := s.slot(e.rest)
	body := len(e.rest) - len(e.body)
	if length := body + n + 1; k != nil && length <= len(k.text) {
		*k = source{length: uint8(length), host: uint8(len(e.host)), tag: uint8(len(e.tag)), pid: uint8(len(e.pid)), body: uint8(body)}
		copy(k.text[:], e.rest[:length])
	}
}
