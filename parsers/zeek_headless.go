package parsers

import (
	"bytes"
	"errors"
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
		_, err := zeekHeadless(line)
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
	sep = []byte{'\t'}
	if !bytes.Contains(rec, sep) || bytes.Count(rec, sep) >= zeekMaxColumns {
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
	return names, sep
}

// zeekConnFields are the columns of conn.log since Bro 2.2, in order; local_resp
// came with 2.3 (without it a row has 20 columns), ip_proto with Zeek 7.
const zeekConnFields = "ts:time uid:string id.orig_h:addr id.orig_p:port id.resp_h:addr id.resp_p:port proto:enum service:string " +
	"duration:interval orig_bytes:count resp_bytes:count conn_state:string local_orig:bool local_resp:bool missed_bytes:count " +
	"history:string orig_pkts:count orig_ip_bytes:count resp_pkts:count resp_ip_bytes:count tunnel_parents:set[string] ip_proto:count"

// zeekConnColumns gives the names and types for a conn row of n columns, 20 to 22.
func zeekConnColumns(n int) (names, types []string) {
	for field := range strings.FieldsSeq(zeekConnFields) {
		name, typ, _ := strings.Cut(field, ":")
		if n == 20 && name == "local_resp" || len(names) == n {
			continue
		}
		names, types = append(names, name), append(types, typ)
	}
	return names, types
}

// zeekHeadless judges a row without any header. Only conn rows can be told by
// their columns; sep is their separator. Rows that begin as Zeek logs do, of
// another log, are refused with the reason; all else is ErrOther.
func zeekHeadless(rec []byte) (sep []byte, why error) {
	if i := bytes.IndexAny(rec[:min(len(rec), 24)], "\t|"); i < 0 || !zeekDecimal(rec[:i]) {
		return nil, ErrOther
	}
	var cells [][]byte
	for _, c := range []byte{'\t', '|'} {
		sep = []byte{c}
		if cells = bytes.SplitN(rec, sep, 24); len(cells) >= 6 {
			break
		}
	}
	if len(cells) < 6 || !bytes.Contains(cells[0], []byte{'.'}) {
		return nil, ErrOther
	}
	id := 2
	if zeekAddr.fits(cells[1]) {
		id = 1
	}
	if !zeekAddr.fits(cells[id]) || !zeekPort.fits(cells[id+1]) || !zeekAddr.fits(cells[id+2]) || !zeekPort.fits(cells[id+3]) {
		return nil, ErrOther
	}
	refusal := reject(0, "a row of a Zeek log without its header: only conn logs can be read without their column names, as the same columns mean other things in other logs")
	if id != 2 || len(cells) < 20 || len(cells) > 22 {
		return nil, refusal
	}
	names, types := zeekConnColumns(len(cells))
	for i := 6; i < len(names); i++ {
		v := cells[i]
		switch {
		case names[i] == "conn_state" && !bytes.Contains([]byte(" S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR OTH "), []byte(" "+string(v)+" ")),
			names[i] == "proto" && !bytes.Contains([]byte(" tcp udp icmp unknown_transport "), []byte(" "+string(v)+" ")),
			string(v) != "-" && !zeekTypeNamed(types[i]).fits(v):
			return nil, refusal
		}
	}
	return sep, nil
}
