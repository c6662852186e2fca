package parsers

import (
	"bytes"

	"firetrail"
)

// zeekSetter stores one value that is set: v has no escapes left. It reports false
// where v is not of the column's kind.
type zeekSetter func(z *zeekRow, c *zeekColumn, v []byte) bool

// zeekSetters has what stores the columns of a role. The roles behind zeekLate wait
// for the end of the record.
var zeekSetters = [zeekLate]zeekSetter{
	zeekOwn: func(z *zeekRow, c *zeekColumn, v []byte) bool {
		z.ev.X = append(z.ev.X, firetrail.Field{Name: c.name, Value: text(v)})
		return true
	},
	zeekTS: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.ev.Time, ok = zeekTime(z.ctx, v, z.ev)
		return ok
	},
	zeekUID: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.UID, v) },
	zeekOrigH: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.ev.SrcIP, ok = address(v)
		return ok
	},
	zeekOrigP: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.origP = zeekLateValue{c, text(v)}
		z.ev.SrcPort, ok = port(v)
		return ok
	},
	zeekRespH: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.ev.DstIP, ok = address(v)
		return ok
	},
	zeekRespP: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.respP = zeekLateValue{c, text(v)}
		z.ev.DstPort, ok = port(v)
		return ok
	},
	zeekProto: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.Proto, v) },
	zeekService: func(z *zeekRow, c *zeekColumn, v []byte) bool {
		z.asked = true
		if !z.log.conn {
			z.ev.Put(c.name, text(v))
			return true
		}
		return z.text(c, &z.ev.Service, v)
	},
	zeekDuration: func(z *zeekRow, c *zeekColumn, v []byte) (ok bool) {
		z.ev.Duration, ok = zeekNanoseconds(v)
		return ok
	},
	zeekOrigBytes: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.count(c, &z.ev.BytesOut, v) },
	zeekRespBytes: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.count(c, &z.ev.BytesIn, v) },
	zeekOrigPkts:  func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.count(c, &z.ev.PacketsOut, v) },
	zeekRespPkts:  func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.count(c, &z.ev.PacketsIn, v) },
	zeekState:     func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.State, v) },
	zeekCommunity: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.CommunityID, v) },
	zeekName: func(z *zeekRow, c *zeekColumn, v []byte) bool {
		name := bytes.TrimSuffix(v, []byte{'.'})
		if z.text(c, &z.ev.Host, name); len(name) != len(v) && len(name) > 0 {
			z.ev.Put(c.name, text(v))
		}
		return true
	},
	zeekURL:  func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.URL, v) },
	zeekUser: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.User, v) },
	zeekNote: func(z *zeekRow, c *zeekColumn, v []byte) bool { return z.text(c, &z.ev.Reason, v) },
	zeekSystem: func(z *zeekRow, c *zeekColumn, v []byte) bool {
		// --sensor may replace the name, so the record's own stays in x.
		if z.ev.Put(c.name, text(v)); z.ev.Sensor == "" || c.name != "_node_name" {
			z.ev.Sensor = text(v)
		}
		return true
	},
	zeekPath: func(z *zeekRow, c *zeekColumn, v []byte) bool {
		z.asked = true
		if text(v) != z.log.path {
			z.ev.Put(c.name, text(v))
		}
		return true
	},
}

// bind gives the column its setter and how it is read, when its role and type are known.
func (c *zeekColumn) bind() {
	c.read = c.reading()
	switch {
	case c.role >= zeekLate:
		c.set = zeekSetLate
	case c.role == zeekOwn && c.typ > zeekText && c.typ != zeekSet:
		c.set = zeekSetTyped
	default:
		c.set = zeekSetters[c.role]
	}
}

// zeekSetTyped stores an x field that must look like its type.
func zeekSetTyped(z *zeekRow, c *zeekColumn, v []byte) bool {
	if !c.typ.fits(v) {
		return false
	}
	z.ev.X = append(z.ev.X, firetrail.Field{Name: c.name, Value: text(v)})
	return true
}

// zeekSetLate keeps the value for the end of the record.
func zeekSetLate(z *zeekRow, c *zeekColumn, v []byte) bool {
	if c.typ > zeekText && !c.typ.fits(v) {
		return false
	}
	z.late = append(z.late, zeekLateValue{c, text(v)})
	return true
}

// text stores a value in a common field; an empty one, or one whose field is
// taken, is kept under the column's own name so that it is not lost.
func (z *zeekRow) text(c *zeekColumn, place *string, v []byte) bool {
	if len(v) == 0 || *place != "" {
		z.ev.Put(c.name, text(v))
	} else {
		*place = text(v)
	}
	return true
}

// count stores a number. One that needs more than 18 digits (Zeek has written
// wrapped counters) is kept as text only.
func (z *zeekRow) count(c *zeekColumn, place *int64, v []byte) bool {
	n, ok := number(v)
	if !ok {
		if !zeekCount.fits(v) {
			return false
		}
		z.ev.Put(c.name, text(v))
		return true
	}
	*place = n
	return true
}
