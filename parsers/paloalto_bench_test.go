package parsers

import (
	"bytes"
	"fmt"
	"testing"

	"firetrail"
)

// panTrafficLines makes n different TRAFFIC records of PAN-OS 10.1.
func panTrafficLines(n int) [][]byte {
	var lines [][]byte
	for i := range n {
		lines = append(lines, fmt.Appendf(nil, `<14>Mar  1 08:%02d:%02d fw-edge.example.net 1,2026/03/01 08:%02d:%02d,012345678901,TRAFFIC,end,2561,2026/03/01 08:%02d:%02d,`+
			`10.20.3.%d,203.0.113.%d,198.51.100.7,203.0.113.%d,egress-research,lab\ada,,ssl,vsys1,train,untrust,ae1.20,ethernet1/1,siem,2026/03/01 08:%02d:%02d,`+
			`%d,1,%d,443,%d,443,0x40001c,tcp,allow,43135,24629,18506,189,2026/03/01 08:%02d:00,%d,computer-and-internet-info,,71354%07d,0x8000000000000000,`+
			`10.0.0.0-10.255.255.255,United States,,90,99,tcp-fin,16,21,0,0,,fw-edge,from-policy,,,0,,0,,N/A,0,0,0,0,7b6f0a5e-8f8f-4a1e-9a55-2f6d0c7c1a10,0,0,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,`+
			`2026-03-01T08:%02d:%02d.%03d+01:00,,,encrypted-tunnel,networking,browser-based,4,"used-by-malware,able-to-transfer-file,has-known-vulnerability",,ssl,no,no,0`,
			i/60%60, i%60, i/60%60, i%60, i/60%60, i%60, i%250+1, i%200+1, i%200+1, i/60%60, i%60,
			100000+i, 1024+i%60000, 1024+i*7%60000, i/60%60, i%60, i, i/60%60, i%60, i%1000))
	}
	return lines
}

// BenchmarkPaloAltoTraffic reads TRAFFIC records of 115 columns, one at a time.
func BenchmarkPaloAltoTraffic(b *testing.B) {
	lines := panTrafficLines(4096)
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	p := PaloAlto.New(newContext(Options{}))
	ev := firetrail.NewEvent()
	b.SetBytes(int64(size / len(lines)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ev.Reset()
		if err := p.Parse(lines[i%len(lines)], &ev); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkPaloAltoReader reads the same through the reader: framing, batches, accounts.
func BenchmarkPaloAltoReader(b *testing.B) {
	data := append(bytes.Join(panTrafficLines(40000), []byte{'\n'}), '\n')
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		rd, err := NewReader(bytes.NewReader(data), Options{Format: "paloalto"})
		if err != nil {
			b.Fatal(err)
		}
		var batch Batch
		for rd.Next(&batch) == nil {
		}
	}
}
