package parsers

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"firetrail"
)

// kernelChatter are lines of a node's kernel log that are no packets. Every
// format has to decline them, and they are most of such a log.
var kernelChatter = []string{
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.118004] nvme nvme0: 8/0/0 default/read/poll queues",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.120113] NVRM: Xid (PCI:0000:3b:00): 31, pid=20113, name=python3, Ch 00000010, intr 10000000",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.203311] mlx5_core 0000:5e:00.0 ibs1: Link up",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.311002] audit: type=1400 audit(1772352000.311:77): apparmor=\"STATUS\" operation=\"profile_replace\" profile=\"unconfined\" name=\"lsb_release\" pid=712 comm=\"apparmor_parser\"",
	"Mar  1 08:%02d:%02d gpu01 systemd[1]: Started session %d of user ada.",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.402221] docker0: port 1(veth4a1b2c3) entered disabled state",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.511874] EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Opts: (null)",
	"Mar  1 08:%02d:%02d gpu01 kernel: [%6d.600023] python3 invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
}

// kernelLog makes a log of n lines, of which one in twenty is a packet.
func kernelLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		if i%20 == 0 {
			fmt.Fprintf(&b, "Mar  1 08:%02d:%02d gpu01 kernel: [%6d.700000] egress-drop: IN= OUT=eth0 SRC=10.20.3.1 DST=203.0.113.%d LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=%d DF PROTO=TCP SPT=%d DPT=443 WINDOW=64240 RES=0x00 SYN URGP=0\n",
				i/60%60, i%60, i, i%254+1, i%65536, 32768+i%28000)
			continue
		}
		fmt.Fprintf(&b, kernelChatter[i%len(kernelChatter)]+"\n", i/60%60, i%60, i)
	}
	return b.Bytes()
}

// TestDeclining: lines that no format wants leave no trace in memory.
func TestDeclining(t *testing.T) {
	var lines [][]byte
	for line := range bytes.Lines(kernelLog(200)) {
		lines = append(lines, bytes.TrimSuffix(line, []byte{'\n'}))
	}
	lines = append(lines,
		[]byte("Mar  1 08:00:00 gpu01 app: a\tb\tc\td"),
		[]byte("Mar  1 08:00:00 gpu01 app: one, two, three, four, five, six, seven, eight"),
		[]byte(`Mar  1 08:00:00 gpu01 app: {"level":"info","msg":"ready"}`),
		[]byte("    at com.example.Main(Main.java:7)"), []byte("{"), []byte(" }"), []byte("plain words"))
	rd, err := NewReader(bytes.NewReader(kernelLog(20)), Options{Format: "iptables", Year: 2026, Now: time.Unix(1800000000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	ev := firetrail.NewEvent()
	other := 0
	allocs := testing.AllocsPerRun(20, func() {
		for _, line := range lines {
			if rd.parse(line, &ev, 1) == ErrOther {
				other++
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d lines", allocs, len(lines))
	}
	if want := 21 * (190 + 7); other != want {
		t.Errorf("%d lines declined, want %d", other, want)
	}
}

// BenchmarkDeclining reads a kernel log in which every twentieth line is a packet.
func BenchmarkDeclining(b *testing.B) {
	log := kernelLog(50000)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	var batch Batch
	for b.Loop() {
		rd, err := NewReader(bytes.NewReader(log), Options{Format: "iptables"})
		if err != nil {
			b.Fatal(err)
		}
		for rd.Next(&batch) == nil {
		}
	}
}
