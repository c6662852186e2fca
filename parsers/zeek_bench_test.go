package parsers

import (
	"bytes"
	"fmt"
	"testing"

	"firetrail"
)

// zeekConnLog makes a conn log of n rows with documentation addresses.
func zeekConnLog(n int) (tsv, json []byte) {
	var t, j bytes.Buffer
	t.WriteString(zeekConnHeader)
	for i := range n {
		ts := fmt.Sprintf("%d.%06d", 1772355600+i/50, i*7919%1000000)
		uid := fmt.Sprintf("C%017x", uint64(i)*0x9e3779b97f4a7c15>>4)
		src, dst := fmt.Sprintf("10.%d.%d.%d", i%4, i/7%200, i%250+1), fmt.Sprintf("203.0.113.%d", i%254+1)
		port, out, in := 32768+i%28000, i*31%90000, i*977%9000000
		fmt.Fprintf(&t, "%s\t%s\t%s\t%d\t%s\t443\ttcp\tssl\t%d.%06d\t%d\t%d\tSF\tT\tF\t0\tShADadFf\t%d\t%d\t%d\t%d\t-\n",
			ts, uid, src, port, dst, i%300, i*13%1000000, out, in, out/900+4, out+300, in/1200+4, in+300)
		fmt.Fprintf(&j, `{"ts":%s,"uid":"%s","id.orig_h":"%s","id.orig_p":%d,"id.resp_h":"%s","id.resp_p":443,"proto":"tcp","service":"ssl","duration":%d.%06d,`+
			`"orig_bytes":%d,"resp_bytes":%d,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":%d,"orig_ip_bytes":%d,"resp_pkts":%d,"resp_ip_bytes":%d}`+"\n",
			ts, uid, src, port, dst, i%300, i*13%1000000, out, in, out/900+4, out+300, in/1200+4, in+300)
	}
	return t.Bytes(), j.Bytes()
}

const zeekConnHeader = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\n" +
	"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\n"

// benchZeek parses the lines of a log again and again into the same event.
func benchZeek(b *testing.B, f Format, log []byte) {
	p := f.New(newContext(Options{}))
	var records [][]byte
	for line := range bytes.Lines(log) {
		records = append(records, bytes.TrimSuffix(line, []byte{'\n'}))
	}
	ev := firetrail.NewEvent()
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		for _, rec := range records {
			ev.Reset()
			if err := p.Parse(rec, &ev); err != nil && err != ErrHeader {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkZeekTSV(b *testing.B) {
	tsv, _ := zeekConnLog(5000)
	benchZeek(b, Zeek, tsv)
}

func BenchmarkZeekJSON(b *testing.B) {
	_, json := zeekConnLog(5000)
	benchZeek(b, ZeekJSON, json)
}

// BenchmarkZeekTSVReader reads through the Reader, records framed and counted.
func BenchmarkZeekTSVReader(b *testing.B) {
	tsv, _ := zeekConnLog(50000)
	b.SetBytes(int64(len(tsv)))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		rd, err := NewReader(bytes.NewReader(tsv), Options{})
		if err != nil {
			b.Fatal(err)
		}
		for rd.Next(&batch) == nil {
		}
	}
}

// BenchmarkZeekHostile: a quarter of the bytes takes a quarter of the time.
func BenchmarkZeekHostile(b *testing.B) {
	for _, size := range []int{1 << 18, 1 << 20} {
		for name, data := range hostileZeek(size) {
			for _, format := range []string{"zeek", "zeekjson"} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, format, size), func(b *testing.B) {
					b.SetBytes(int64(len(data)))
					for b.Loop() {
						readZeek(b, data, format)
					}
				})
			}
		}
	}
}
