package parsers

import "firetrail"

// zeekReading is how quickRow reads a column.
type zeekReading uint8

const (
	zeekReadValue zeekReading = iota // by the column's setter
	zeekReadTime
	zeekReadDuration
	zeekReadSrcIP
	zeekReadSrcPort
	zeekReadDstIP
	zeekReadDstPort
	zeekReadBytesOut
	zeekReadBytesIn
	zeekReadPacketsOut
	zeekReadPacketsIn
	zeekReadDigits // an x field of digits
	zeekReadFlag   // an x field, T or F
)

// reading chooses how quickRow reads the column.
func (c *zeekColumn) reading() zeekReading {
	switch c.role {
	case zeekTS:
		return zeekReadTime
	case zeekDuration:
		return zeekReadDuration
	case zeekOrigH:
		return zeekReadSrcIP
	case zeekOrigP:
		return zeekReadSrcPort
	case zeekRespH:
		return zeekReadDstIP
	case zeekRespP:
		return zeekReadDstPort
	case zeekOrigBytes:
		return zeekReadBytesOut
	case zeekRespBytes:
		return zeekReadBytesIn
	case zeekOrigPkts:
		return zeekReadPacketsOut
	case zeekRespPkts:
		return zeekReadPacketsIn
	case zeekOwn:
		switch c.typ {
		case zeekCount:
			return zeekReadDigits
		case zeekBool:
			return zeekReadFlag
		}
	}
	return zeekReadValue
}

// quickRow reads a row in one pass that finds the end of a value with its meaning.
// It reports false where the row needs carefulRow, to be read or to be refused; what
// it has stored by then is void.
func (p *zeekTSV) quickRow(rec []byte) bool {
	z, sep, pos := &p.row, p.sep[0], 0
	ev := z.ev
	columns := p.columns
	for i := range columns {
		c, end := &columns[i], -1
		switch c.read {
		case zeekReadValue:
		case zeekReadTime:
			if ev.Time, end = zeekSecondsAt(rec, pos); end < 0 {
				return false // a time without a zone is evidence for the clock, but not if the row is refused
			}
		case zeekReadSrcIP:
			ev.SrcIP, end = address4(rec, pos)
		case zeekReadDstIP:
			ev.DstIP, end = address4(rec, pos)
		case zeekReadDigits:
			if n := jsonDigits(rec, pos) - pos; n > 0 && n <= 20 {
				end = pos + n
				ev.X = append(ev.X, firetrail.Field{Name: c.name, Value: text(rec[pos:end])})
			}
		case zeekReadFlag:
			if pos < len(rec) && (rec[pos] == 'T' || rec[pos] == 'F') {
				end = pos + 1
				ev.X = append(ev.X, firetrail.Field{Name: c.name, Value: text(rec[pos:end])})
			}
		default:
			end = z.number(c, rec, pos)
		}
		if end < 0 {
			end = p.readValue(c, rec, pos)
		}
		if uint(end) >= uint(len(rec)) {
			return end == len(rec) && i == len(columns)-1
		}
		if rec[end] != sep {
			return false
		}
		pos = end + 1
	}
	return false
}

// readValue leaves the value at pos to the column's setter. It returns the end of
// the value, or -1 where it is refused.
func (p *zeekTSV) readValue(c *zeekColumn, rec []byte, pos int) (end int) {
	end = indexFrom(rec, pos, p.sep[0])
	v, ok := rec[pos:end], false
	switch {
	case len(v) == 1 && v[0] == p.unset[0]:
		return end
	case c.typ <= zeekText && len(v) != 1 && len(v) != len(p.empty):
		ok = c.set(&p.row, c, v)
	default:
		ok = p.setMarked(c, v, false)
	}
	if !ok {
		return -1
	}
	return end
}

// isQuick reports whether rows can be read by quickRow: columns end at one byte
// that is no part of a number, an address or a flag, and no number or flag is a mark.
func (p *zeekTSV) isQuick() bool {
	if len(p.sep) != 1 || len(p.unset) != 1 || p.pasted || p.tails {
		return false
	}
	sep, unset := p.sep[0], p.unset[0]
	return (sep < '+' || sep == ',' || sep == ';' || sep == '|') && unset-'0' > 9 && unset != 'T' && unset != 'F'
}

// number stores the number at i of a column that is one of the event's own: a duration, a
// port or a count. end is behind it, or -1 where there is none, or the column is another.
func (z *zeekRow) number(c *zeekColumn, d []byte, i int) (end int) {
	ev := z.ev
	switch end = -1; c.read {
	case zeekReadDuration:
		ev.Duration, end = zeekSecondsAt(d, i)
	case zeekReadSrcPort:
		if ev.SrcPort, end = portAt(d, i); end >= 0 {
			z.origP = zeekLateValue{c, text(d[i:end])}
		}
	case zeekReadDstPort:
		if ev.DstPort, end = portAt(d, i); end >= 0 {
			z.respP = zeekLateValue{c, text(d[i:end])}
		}
	case zeekReadBytesOut:
		ev.BytesOut, end = numberAt(d, i)
	case zeekReadBytesIn:
		ev.BytesIn, end = numberAt(d, i)
	case zeekReadPacketsOut:
		ev.PacketsOut, end = numberAt(d, i)
	case zeekReadPacketsIn:
		ev.PacketsIn, end = numberAt(d, i)
	}
	return end
}
