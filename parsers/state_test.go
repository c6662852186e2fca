package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firetrail"

	"github.com/google/go-cmp/cmp"
)

// taking is what was read of a source, and where each record ended.
type taking struct {
	what   []string // events, rejects and facts in their order
	counts firetrail.Counts
	ends   []int64 // of batches
}

func (g *taking) add(b *Batch) {
	for i := range b.Events {
		g.what = append(g.what, fmt.Sprintf("%+v", b.Events[i]))
	}
	for _, r := range b.Rejects {
		g.what = append(g.what, fmt.Sprintf("%+v", r))
	}
	for _, f := range b.Facts {
		g.what = append(g.what, fmt.Sprintf("%+v", f))
	}
	g.counts.Add(b.Counts)
	g.ends = append(g.ends, b.End)
}

// sorted is what was read, whatever the batches.
func (g *taking) sorted() []string { return slices.Sorted(slices.Values(g.what)) }

// finish reads rd to its end. Unfinished records are only taken if last is set.
func (g *taking) finish(rd *Reader, last bool) error {
	var b Batch
	for {
		err := rd.Next(&b)
		if !b.Unfinished || last {
			g.add(&b)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// goOn takes a state through JSON and reads on behind it, of data that has grown.
func goOn(data []byte, opt Options, s State) (*Reader, error) {
	kept, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var back State
	if err := json.Unmarshal(kept, &back); err != nil {
		return nil, err
	}
	return Resume(bytes.NewReader(data[back.From():]), opt, back)
}

// opened gives the options of a source that can be opened again.
func opened(data []byte, opt Options) Options {
	opt.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return opt
}

// inTwoParts reads data as a log that ended at cut first. ok is false where the first
// part alone is no source, or is taken for one of another format.
func inTwoParts(t *testing.T, data []byte, cut int, opt Options, replay bool) (g taking, ok bool) {
	t.Helper()
	rd, err := NewReader(bytes.NewReader(data[:cut]), opened(data[:cut], opt))
	if err != nil {
		return g, false
	}
	whole, err := NewReader(bytes.NewReader(data), opt)
	if err != nil || whole.Format().Name != rd.Format().Name {
		return g, false
	}
	if err := g.finish(rd, false); err != nil {
		t.Fatal(err)
	}
	s := rd.State()
	if replay {
		s.Learnt, s.Replay = nil, true
	}
	if rd, err = goOn(data, opened(data, opt), s); err != nil {
		t.Fatal(err)
	}
	if err := g.finish(rd, true); err != nil {
		t.Fatal(err)
	}
	return g, true
}

// inOne reads data to its end.
func inOne(t *testing.T, data []byte, opt Options) (g taking) {
	t.Helper()
	rd, err := NewReader(bytes.NewReader(data), opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.finish(rd, true); err != nil {
		t.Fatal(err)
	}
	return g
}

// cutAll reads data in two parts, cut at every step from a place on.
func cutAll(t *testing.T, data []byte, from, step int, opt Options, want *taking) {
	t.Helper()
	for cut := from; cut < len(data); cut += step {
		if got, ok := inTwoParts(t, data, cut, opt, false); !ok || !cmp.Equal(got.sorted(), want.sorted()) || got.counts != want.counts {
			t.Errorf("cut at %d: %v", cut, cmp.Diff(want.sorted(), got.sorted()))
		}
	}
}

// logs are the samples of every format and, where they are, the corpora.
func logs(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	roots := []string{"../samples"}
	if corpora := os.Getenv("FIRETRAIL_CORPORA"); corpora != "" {
		roots = append(roots, corpora)
	}
	for in, err := range Inputs(roots, nil) {
		if err != nil || in.Size > 8<<20 || strings.HasSuffix(in.Path, ".go") {
			continue
		}
		r, err := in.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			continue
		}
		if _, err := NewReader(bytes.NewReader(data), sampleOptions); err == nil {
			all[in.Path] = data
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d logs", len(all))
	}
	return all
}

// TestResume cuts every log at the ends of records and within them: read in two parts
// it gives what it gives in one.
func TestResume(t *testing.T) {
	opt := sampleOptions
	opt.Year = 2025
	cuts, skipped, replayed := 0, 0, 0
	formats := map[string]int{}
	all := logs(t)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		data := all[path]
		rd, err := NewReader(bytes.NewReader(data), opened(data, opt))
		if err != nil {
			t.Fatal(err)
		}
		var want taking
		if err := want.finish(rd, true); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, uint64(len(data))))
		for _, cut := range places(data, rd.Format(), r) {
			replay := r.IntN(4) == 0
			got, ok := inTwoParts(t, data, cut, opt, replay)
			cuts++
			switch {
			case !ok:
				skipped++
				continue
			case replay:
				replayed++
			}
			formats[rd.Format().Name]++
			if d := cmp.Diff(want.sorted(), got.sorted()); d != "" {
				t.Errorf("%s cut at %d of %d, replay %v: %s", path, cut, len(data), replay, d)
				break
			}
			if got.counts != want.counts {
				t.Errorf("%s cut at %d of %d, replay %v: %+v, want %+v", path, cut, len(data), replay, got.counts, want.counts)
				break
			}
		}
	}
	t.Logf("%d cuts, %d of them where the first part alone is another source, %d with records read again; by format: %v", cuts, skipped, replayed, formats)
	for _, f := range All {
		if formats[f.Name] < 10 {
			t.Errorf("%d cuts of %s", formats[f.Name], f.Name)
		}
	}
}

// places to cut: line ends and places between them; at most some dozens of a long log.
func places(data []byte, f Format, r *rand.Rand) []int {
	var all []int
	for i, c := range data[:max(len(data)-1, 0)] {
		if c == '\n' || f.Binary && i%16 == 15 {
			all = append(all, i+1)
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(len(all), 12)]
	for range min(len(all), 6) {
		all = append(all, 1+r.IntN(max(len(data)-1, 1)))
	}
	return all
}

// TestResumeLearnt has logs in which one record says what later ones mean, cut behind
// each of their lines.
func TestResumeLearnt(t *testing.T) {
	row := "1772355612.5\tC1\t10.20.3.7\t50112\t203.0.113.9\t53\tudp\n"
	header := "#separator \\x09\n#set_separator\t,\n#empty_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\n"
	for name, data := range map[string]string{
		"repetition":     ufwLine + "\n" + "Mar  1 08:00:00 gw1 last message repeated 3 times\n" + ufwLine + "\nMar  1 08:00:00 gw1 cron: x\nMar  1 08:00:00 gw1 last message repeated 3 times\n",
		"second header":  header + row + row + header + strings.Replace(row, "\tudp", "\t-", 1),
		"mark of before": header + row + "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tservice\n#types\ttime\tstring\taddr\tport\taddr\tport\tset[string]\n" + strings.Replace(row, "udp", "a,b", 1),
		"known writer":   "{\"ts\":1772355612.5,\"uid\":\"C1\",\"id.orig_h\":\"10.20.3.7\"}\n{\"ts\":1772355612.5,\"colour\":\"red\"}\n{\"ts\":1772355612.5,\"colour\":\"red\"}\n",
		"other format":   ufwLine + "\n" + header + row + row + ufwLine + "\n" + row,
	} {
		opt := Options{Year: 2026}
		rd, err := NewReader(strings.NewReader(data), opt)
		if err != nil {
			t.Fatal(name, err)
		}
		var want taking
		if err := want.finish(rd, true); err != nil {
			t.Fatal(err)
		}
		for i, c := range data {
			if c != '\n' {
				continue
			}
			got, ok := inTwoParts(t, []byte(data), i+1, opt, false)
			if d := cmp.Diff(want.sorted(), got.sorted()); ok && (d != "" || got.counts != want.counts) {
				t.Errorf("%s, cut at %d: %s %+v, want %+v", name, i+1, d, got.counts, want.counts)
			}
		}
	}
}

// TestResumeBroken: behind a damaged record a capture cannot be divided, and what
// comes later changes nothing about that.
func TestResumeBroken(t *testing.T) {
	good, err := os.ReadFile("../samples/pflog/freebsd.pcap")
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{MaxRecord: 4096}
	data := bytes.Clone(good)
	for range 60 {
		data = append(data, good[24:]...)
	}
	data[len(good)+11] = 0xff // the length of a packet
	want := inOne(t, data, opt)
	if want.counts.Rejected < 2 {
		t.Fatalf("%+v", want.counts)
	}
	cutAll(t, data, 24, 211, opt, &want)
}

// TestResumeYears: a log without years is cut while its file has the time of its last
// record, as a log has that is being written.
func TestResumeYears(t *testing.T) {
	at := time.Date(2022, 11, 3, 8, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	var ends []int
	var times []time.Time
	for i := range 150 {
		fmt.Fprintf(&log, "%s gw1 kernel: [UFW BLOCK] %s\n", at.Format("Jan _2 15:04:05"), lanPacket)
		ends, times = append(ends, log.Len()), append(times, at)
		at = at.Add(time.Duration(1+i%60*5) * time.Hour)
	}
	until := func(i int) Options { return Options{ModTime: times[i].Add(time.Minute)} }
	data := log.Bytes()
	rd, err := NewReader(bytes.NewReader(data), opened(data, until(len(times)-1)))
	if err != nil {
		t.Fatal(err)
	}
	var want taking
	if err := want.finish(rd, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(want.what[0], fmt.Sprint(times[0].UnixNano())) {
		t.Fatalf("the first record is dated %s", want.what[0])
	}
	for i := range ends[:len(ends)-1] {
		cut := ends[i] - i%3*20
		var g taking
		first, err := NewReader(bytes.NewReader(data[:cut]), opened(data[:cut], until(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.finish(first, false); err != nil {
			t.Fatal(err)
		}
		second, err := goOn(data, opened(data, until(len(times)-1)), first.State())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.finish(second, true); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.sorted(), g.sorted()); d != "" {
			t.Fatalf("cut behind record %d: %s", i, d)
		}
		_, year := second.Clock().Describe()
		if _, wanted := rd.Clock().Describe(); year != wanted {
			t.Errorf("cut behind record %d: %s, want %s", i, year, wanted)
		}
	}
}

// TestResumeMidway takes the state of a reader that goes on reading.
func TestResumeMidway(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("../samples/zeek", "conn.log"))
	if err != nil {
		t.Fatal(err)
	}
	head := data[:bytes.LastIndexByte(data[:bytes.Index(data, []byte("\n1"))+1], '\n')+1]
	rows := bytes.Repeat(data[len(head):bytes.LastIndexByte(data, '\n')+1], 300)
	data = append(bytes.Clone(head), rows...)
	rd, err := NewReader(bytes.NewReader(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want taking
	var before []taking
	var states []State
	var b Batch
	for err == nil {
		before, states = append(before, taking{what: slices.Clone(want.what), counts: want.counts}), append(states, rd.State())
		if err = rd.Next(&b); err == nil {
			want.add(&b)
		}
	}
	if len(states) < 4 {
		t.Fatalf("%d batches", len(states))
	}
	for i := range states {
		g := before[i]
		second, err := goOn(data, Options{}, states[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := g.finish(second, true); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.what, g.what); d != "" || g.counts != want.counts {
			t.Fatalf("behind batch %d: %s", i, d)
		}
	}
}

// TestResumeOverlong: a record beyond the limit that has no end yet is read again
// when it has one.
func TestResumeOverlong(t *testing.T) {
	data := []byte(ufwLine + "\n" + strings.Repeat("x", 5000) + "\n" + ufwLine + "\n")
	opt := Options{Year: 2026, MaxRecord: 2000}
	want := inOne(t, data, opt)
	cutAll(t, data, len(ufwLine)+1, 97, opt, &want)
}

func TestResumeErrors(t *testing.T) {
	for name, s := range map[string]State{
		"format":   {Format: "none"},
		"replay":   {Format: "zeek", Offset: 10, Replay: true},
		"stranger": {Format: "zeek", Learnt: map[string]json.RawMessage{"pf": []byte("1")}},
		"nonsense": {Format: "zeek", Learnt: map[string]json.RawMessage{"zeek": []byte("1")}},
	} {
		if _, err := Resume(strings.NewReader(""), Options{}, s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	header := "#separator \\x09\n#fields\tts\tu\xffid\tid.orig_h\n"
	rd, err := NewReader(strings.NewReader(header), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for rd.Next(&b) == nil {
	}
	if s := rd.State(); !s.Replay || s.Learnt != nil {
		t.Errorf("a header that is no text: %+v", s)
	}
	if !errors.Is(written("a\xff"), errUnwritable) {
		t.Error("a\\xff passes for text")
	}
}

// FuzzResume cuts anything anywhere: read in two parts it gives what it gives in one.
func FuzzResume(f *testing.F) {
	for _, format := range All {
		files, err := filepath.Glob(filepath.Join("../samples", format.Name, "*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			if len(data) < 4096 {
				f.Add(data, uint16(len(data)/2), false)
				f.Add(data, uint16(len(data)*2/3), true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16, replay bool) {
		if len(data) < 2 || len(data) > 1<<15 {
			return
		}
		cut := 1 + int(at)%(len(data)-1)
		opt := Options{Year: 2025, MaxRecord: 4096}
		got, ok := inTwoParts(t, data, cut, opt, replay)
		if !ok {
			return
		}
		rd, err := NewReader(bytes.NewReader(data), opt)
		if err != nil {
			t.Fatal(err)
		}
		var want taking
		if err := want.finish(rd, true); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.sorted(), got.sorted()); d != "" || got.counts != want.counts {
			t.Errorf("%s cut at %d: %+v, want %+v: %s", rd.Format().Name, cut, got.counts, want.counts, d)
		}
	})
}

// TestResumeMixed cuts logs of lines that come from everywhere, some of them damaged.
func TestResumeMixed(t *testing.T) {
	all := logs(t)
	var lines [][]byte
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if data := all[path]; !strings.Contains(path, ".pcap") {
			lines = append(lines, bytes.SplitAfter(data, []byte("\n"))...)
		}
	}
	r := rand.New(rand.NewPCG(11, 12))
	opt := sampleOptions
	opt.Year = 2025
	n := 0
	for range 1500 {
		var data []byte
		for range 2 + r.IntN(30) {
			at := r.IntN(len(lines))
			for _, line := range lines[at:min(len(lines), at+1+r.IntN(6))] {
				if line = bytes.Clone(line); len(line) > 0 && r.IntN(12) == 0 {
					line[r.IntN(len(line))] = byte(r.IntN(256))
				}
				data = append(data, line...)
			}
		}
		rd, err := NewReader(bytes.NewReader(data), opt)
		if err != nil {
			continue
		}
		var want taking
		if err := want.finish(rd, true); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			cut := 1 + r.IntN(len(data)-1)
			got, ok := inTwoParts(t, data, cut, opt, r.IntN(4) == 0)
			if !ok {
				continue
			}
			n++
			if d := cmp.Diff(want.sorted(), got.sorted()); d != "" || got.counts != want.counts {
				t.Fatalf("%s cut at %d of %d: %s\n%+v, want %+v", rd.Format().Name, cut, len(data), d, got.counts, want.counts)
			}
		}
	}
	if t.Logf("%d cuts", n); n < 1000 {
		t.Error("too few")
	}
}
