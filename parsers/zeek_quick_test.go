package parsers

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"firetrail"
)

// oddValues are values that columns of any type may meet.
var oddValues = []string{"", "-", "(empty)", "0", "00", "7", "65535", "65536", "000080", "12345678", "123456789012345678", "1234567890123456789",
	"18446744073709551615", "99999999999999999999", "999999999999999999999", "-1", "+1", "1e5", "1.5e-06", "inf", "nan", "0.5", "-0.5", "1.", ".5",
	"1.123456", "1.1234567", "1.12345", "8999999999.999999", "9000000000.000000", "9999999999.999999", "12345678901.123456", "1772355612010",
	"2026-03-01T09:00:12.5Z", "2026-03-01T09:00:12", "T", "F", "t", "TF", "10.0.0.1", "01.2.3.4", "256.1.1.1", "1.2.3", "1.2.3.4.5", "::1", "00::1",
	"fe80::1%eth0", "2001:db8::ffff:1.2.3.4", "10.0.0.0/8", "tcp", "ICMP", "icmp", "unknown_transport", "a,b,-", `a\x09b`, `\x2d`, "a\tb", "\xff", "\x00"}

// rowParser is a parser that has read a header.
func rowParser(header string) *zeekTSV {
	p := newZeekTSV(newContext(Options{}))
	ev := firetrail.NewEvent()
	for _, line := range strings.Split(strings.TrimSuffix(header, "\n"), "\n") {
		p.Parse([]byte(line), &ev)
	}
	return p
}

// TestZeekQuick reads rows as Parse does and by carefulRow alone: events, reasons and
// what the clock has learnt are the same.
func TestZeekQuick(t *testing.T) {
	tsv, _ := zeekConnLog(1)
	row := strings.TrimSuffix(string(tsv[len(zeekConnHeader):]), "\n")
	ping := strings.Replace(row, "\ttcp\t", "\ticmp\t", 1)
	if ping == row {
		t.Fatal("no row of TCP")
	}
	for _, marks := range [][2]string{{"-", "(empty)"}, {"T", "0"}, {"0", "-"}, {".", ""}, {"", "T"}, {"unset", "a"}} {
		for _, sep := range []string{"\t", "|", "5", "-", ":", ", "} {
			header := strings.ReplaceAll(zeekConnHeader, "\t", sep)
			header = strings.Replace(header, `\x09`, fmt.Sprintf(`\x%x`, sep), 1)
			header = strings.Replace(header, "unset_field"+sep+"-", "unset_field"+sep+marks[0], 1)
			header = strings.Replace(header, "empty_field"+sep+"(empty)", "empty_field"+sep+marks[1], 1)
			cells := strings.Split(row, "\t")
			quick, careful := rowParser(header), rowParser(header)
			for i := range cells {
				for _, v := range append(oddValues, marks[0], marks[1]) {
					changed := append([]string{}, cells...)
					changed[i] = v
					sameRow(t, quick, careful, strings.Join(changed, sep))
				}
				sameRow(t, quick, careful, strings.Join(cells[:i], sep))
				sameRow(t, quick, careful, strings.Join(append([]string{"2026-03-01T09:00:" + fmt.Sprint(10+i)}, cells[1:i+1]...), sep))
			}
			cells = strings.Split(ping, "\t") // its ports are type and code
			for i := range cells {
				for _, v := range append(oddValues, marks[0], marks[1]) {
					changed := append([]string{}, cells...)
					changed[i] = v
					sameRow(t, quick, careful, strings.Join(changed, sep))
				}
			}
			sameRow(t, quick, careful, row+sep+"more")
		}
	}
}

// TestZeekSeconds compares with zeekScaled, which reads every decimal.
func TestZeekSeconds(t *testing.T) {
	for _, in := range append(oddValues, "0.000000", "1772355612.010877", "00000000001.123456", "000000000001.123456", "9223372036.854775", "9223372036.854776",
		"8999999999.999999x", "1772355612.01087", "1772355612.0108770", "1.-23456", ".123456") {
		ns, end := zeekSecondsAt([]byte("\t"+in+"\t12345678"), 1)
		want, ok := zeekScaled([]byte(in), 9)
		if end == 1+len(in) && (!ok || ns != want || jsonDigits([]byte(in), 0) > 10) || end < 0 && ns != firetrail.Absent {
			t.Errorf("%q: %d, want %d %v", in, ns, want, ok)
		}
	}
}

func sameRow(t *testing.T, quick, careful *zeekTSV, row string) {
	t.Helper()
	rec := []byte(row)
	got, want := firetrail.NewEvent(), firetrail.NewEvent()
	gotErr := quick.Parse(rec, &got)
	var wantErr error
	if careful.columns == nil {
		wantErr = careful.Parse(rec, &want)
	} else {
		wantErr = careful.carefulRow(rec, &want, bytes.IndexByte(rec, '\\') >= 0)
	}
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\ngot  %v %+v\nwant %v %+v", row, gotErr, got, wantErr, want)
	}
	if !reflect.DeepEqual(quick.row.ctx.Clock, careful.row.ctx.Clock) {
		t.Errorf("%q: the clocks differ: %+v, %+v", row, quick.row.ctx.Clock, careful.row.ctx.Clock)
	}
}

// TestZeekShapes reads objects with a parser that has met objects of their shapes and
// with one that has not: what comes out is the same.
func TestZeekShapes(t *testing.T) {
	const first = `{"ts":1772355612.010877,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":50112,"proto":"tcp","note":"x"}`
	objects := []string{first,
		`{"ts":1772355612.010877,"uid":"C1","id":{"orig_h":"10.20.3.7","orig_p":50112},"proto":"tcp"}`,
		`{"conn":{"ts":1772355612.010877,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":50112,"proto":"tcp"}}`,
		`{"DNS":{"_path":"conn","ts":1772355612.010877,"uid":"C1","id.orig_h":"10.20.3.7","proto":"tcp"}}`,
		`{"_path":"conn","ts":1772355612.010877,"uid":"C1","id.orig_h":"10.20.3.7","id.orig_p":50112,"proto":"tcp"}`,
		`{"_path":"files","fuid":"F1","a":1,"b":2,"c":[1,"x,y",null],"d":{}}`,
		`{ "ts" : 1772355612.010877 , "uid" : "C1", "id.orig_h" : "10.20.3.7", "id.orig_p" : 50112, "proto" : "tcp" }`,
		`{"ts":1772355612.5,"src":"10.20.3.7","dst":"203.0.113.9","proto":"udp"}`,
		`{"ts":"2026-03-01T09:00:12.5Z","host":"10.20.3.7"}`,
		`{"ts":1,"uid":"C1","id.orig_h":"10.20.3.7","a":{"b":{"c":{"d":{"e":{"f":1}}}}},"g":2}`,
	}
	warm := newZeekObjects(newContext(Options{}))
	ev := firetrail.NewEvent()
	for range 2 {
		for _, o := range objects {
			ev.Reset()
			warm.Parse([]byte(o), &ev)
		}
	}
	values := append([]string{"null", "true", "falsey", `"-"`, `""`, `"a\tb"`, `"a\u00e9\"`, `"x`, "[]", `["a",{"b":1}]`, "[1", "{}", `{"orig_h":"1.2.3.4"}`,
		"1.0", "0.0", "012", "1.", "1e", "-", `"1.2.3.4"`, `"dns"`}, oddValues...)
	for _, o := range objects {
		sameObject(t, warm, first, o)
		for i := range o {
			sameObject(t, warm, first, o[:i])
			if o[i] != ':' {
				continue
			}
			end := i + 1 + strings.IndexAny(o[i+1:]+",", ",}")
			for _, v := range values {
				sameObject(t, warm, first, o[:i+1]+v+o[end:])
			}
		}
	}
}

// sameObject compares with a parser that has read no object but the first.
func sameObject(t *testing.T, warm *zeekObjects, first, object string) {
	t.Helper()
	fresh := newZeekObjects(newContext(Options{}))
	got, want := firetrail.NewEvent(), firetrail.NewEvent()
	fresh.Parse([]byte(first), &want)
	warm.Parse([]byte(first), &got)
	got.Reset()
	want.Reset()
	got.X, want.X = []firetrail.Field{}, []firetrail.Field{} // an event keeps the memory of X, once it has any
	fresh.shapes, fresh.grown = zeekShape{}, 0
	gotErr, wantErr := warm.Parse([]byte(object), &got), fresh.Parse([]byte(object), &want)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %v %+v\nwant %v %+v", object, gotErr, got, wantErr, want)
	}
}
