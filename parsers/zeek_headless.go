package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// sniffZeek looks for a header among the first lines, else for a row of names
// or for rows of a conn log.
func sniffZeek(head []byte) error {
	if bytes.HasPrefix(head, []byte("### BTest baseline")) || bytes.Contains(head, []byte("\nXXXXXXXXXX.XXXXXX")) {
		return errors.New("a masked baseline of Zeek's own tests, not a log")
	}
	if why := zeekSideFile(head); why != nil {
		return why
	}
	var why error
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if _, _, ok := zeekSeparator(line); ok || bytes.HasPrefix(line, []byte("#fields\t")) {
			return nil
		}
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if names, _ := zeekHeaderRow(line); names != nil {
			return nil
		}
		_, _, _, err := zeekHeadless(line)
		if err == nil {
			return nil
		}
		if why == nil && err != ErrOther {
			why = err
		}
	}
	if why != nil {
		return why
	}
	return errNotZeek
}

// zeekSideFile recognises the files that lie beside Zeek logs: ".shadow.conn.log"
// (the extension and the name of a rotation function) and conn-summary (free text).
func zeekSideFile(head []byte) error {
	if len(head) < 512 && bytes.HasPrefix(head, []byte(".log")) && bytes.Count(head, []byte{'\n'}) <= 3 {
		return errors.New("a .shadow file of a Zeek that rotates its logs, not a log")
	}
	if bytes.HasPrefix(bytes.TrimLeft(head, "\r\n "), []byte(">== Total ===")) {
		return errors.New("a connection summary of trace-summary, free text, not a Zeek log")
	}
	return nil
}

// zeekHeaderRow reads a plain row of column names (LogAscii::tsv), nil if rec is none.
func zeekHeaderRow(rec []byte) (names []string, sep []byte) {
	tabs := bytes.Count(rec, []byte{'\t'})
	if tabs == 0 || tabs >= zeekMaxColumns {
		return nil, nil
	}
	if !bytes.Contains(rec, []byte("orig_h\t")) && !bytes.HasPrefix(rec, []byte("ts\tuid\t")) {
		return nil, nil
	}
	names = strings.Split(string(rec), "\t")
	for _, name := range names {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@") != "" || name == "" {
			return nil, nil
		}
	}
	return names, []byte{'\t'}
}

// zeekConnFields are the columns of conn.log since Bro 2.2, in order; local_resp
// came with 2.3 (without it a row has 20 columns). What follows varies: see zeekConnExtra.
const zeekConnFields = "ts:time uid:string id.orig_h:addr id.orig_p:port id.resp_h:addr id.resp_p:port proto:enum service:string " +
	"duration:interval orig_bytes:count resp_bytes:count conn_state:string local_orig:bool local_resp:bool missed_bytes:count " +
	"history:string orig_pkts:count orig_ip_bytes:count resp_pkts:count resp_ip_bytes:count tunnel_parents:set[string]"

// zeekConnColumns gives the names and types for the first 21 columns of a conn row
// of n columns, or all of 20.
func zeekConnColumns(n int) (names, types []string) {
	for field := range strings.FieldsSeq(zeekConnFields) {
		name, typ, _ := strings.Cut(field, ":")
		if n == 20 && name == "local_resp" || len(names) == min(n, 21) {
			continue
		}
		names, types = append(names, name), append(types, typ)
	}
	return names, types
}

// zeekConnExtra names the columns that policy scripts append to conn rows, by
// the look of their values in the first row; where that tells nothing, by number.
func zeekConnExtra(cells [][]byte) (names, types []string) {
	l2 := []string{"orig_l2_addr", "resp_l2_addr"}
	for i, v := range cells {
		name, typ := fmt.Sprintf("column_%d", 22+i), "string"
		switch {
		case len(v) == 17 && bytes.Count(v, []byte{':'}) == 5 && len(l2) > 0:
			name, l2 = l2[0], l2[1:]
		case len(v) == 30 && bytes.HasPrefix(v, []byte("1:")):
			name = "community_id"
		case i == 0 && len(v) <= 3 && zeekDigits(v):
			name, typ = "ip_proto", "count"
		}
		names, types = append(names, name), append(types, typ)
	}
	return names, types
}

var errZeekHeadless = &RejectError{Reason: "a row of a Zeek log without its header: only conn logs can be read without their column names, as the same columns mean other things in other logs"}

// zeekHeadless judges a row without any header. Only conn rows can be told by
// their columns; sep is their separator, names and types are their columns. Rows that begin as
// Zeek logs do, of another log, are refused with the reason; all else is ErrOther.
func zeekHeadless(rec []byte) (sep []byte, names, types []string, why error) {
	if len(rec) == 0 || rec[0] != '-' && (rec[0] < '0' || rec[0] > '9') {
		return nil, nil, nil, ErrOther // rows begin with their time
	}
	i := bytes.IndexAny(rec[:min(len(rec), 24)], "\t|")
	if i < 0 || !zeekDecimal(rec[:i]) || bytes.IndexByte(rec[:i], '.') < 0 {
		return nil, nil, nil, ErrOther
	}
	sep = []byte{rec[i]}
	cells := bytes.SplitN(rec, sep, 32)
	if len(cells) < 6 {
		return nil, nil, nil, ErrOther
	}
	if len(cells) < 20 || len(cells) > 31 || !zeekConnection(cells[2:]) {
		if zeekConnection(cells[1:]) || zeekConnection(cells[2:]) || rec[i] == '\t' && len(cells[0]) == 17 {
			return nil, nil, nil, errZeekHeadless
		}
		return nil, nil, nil, ErrOther
	}
	names, types = zeekConnColumns(len(cells))
	for i := 6; i < len(names); i++ {
		v := cells[i]
		switch {
		case names[i] == "conn_state" && !zeekWord(v, " S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR OTH "),
			names[i] == "proto" && !zeekWord(v, " tcp udp icmp unknown_transport "),
			string(v) != "-" && !zeekTypeNamed(types[i]).fits(v):
			return nil, nil, nil, errZeekHeadless
		}
	}
	if len(cells) > 21 {
		more, kinds := zeekConnExtra(cells[21:])
		names, types = append(names, more...), append(types, kinds...)
	}
	return sep, names, types, nil
}

// zeekConnection reports whether cells begin with address, port, address, port.
func zeekConnection(cells [][]byte) bool {
	return len(cells) >= 4 && zeekAddr.fits(cells[0]) && zeekPort.fits(cells[1]) && zeekAddr.fits(cells[2]) && zeekPort.fits(cells[3])
}

// zeekWord reports whether v is one of the words, which blanks divide and enclose.
func zeekWord(v []byte, words string) bool {
	return strings.Contains(words, " "+string(v)+" ")
}
