package parsers

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSurveySkipsWithinADay compares a survey that reads the first and last lines of
// a day with one that reads every line.
func TestSurveySkipsWithinADay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at := time.Date(2023, 12, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(40 * 24 * time.Hour))))
		step := time.Duration(1+r.Int64N(72)) * time.Hour
		layout := []string{"Jan _2 15:04:05", "Jan 02 15:04:05", "Jan 2 15:04:05"}[r.IntN(3)]
		var b strings.Builder
		for range r.IntN(400) {
			switch r.IntN(40) {
			case 0: // a straggler
				fmt.Fprintf(&b, "%s host kernel: late\n", at.Add(-step).Format("Jan _2 15:04:05"))
			case 1:
				b.WriteString("no stamp, or half of one: " + at.Format("Jan _2") + "\n")
			case 2:
				b.WriteString(at.Format("Jan _2 ") + "\n")
			case 3: // a clock that was set back
				at = at.Add(-time.Duration(r.Int64N(int64(100 * 24 * time.Hour))))
			case 4:
				fmt.Fprintf(&b, "%s host kernel: %s\n", at.Format("Jan _2 15:04:05.000"), strings.Repeat("x", r.IntN(300)))
			case 5:
				at = at.Add(time.Duration(r.Int64N(int64(200 * 24 * time.Hour))))
			case 6:
				fmt.Fprintf(&b, "<%d>%s host kernel: x\n", r.IntN(190), at.Format("Jan _2 15:04:05"))
			default:
				fmt.Fprintf(&b, "%s host kernel: x\n", at.Format(layout))
			}
			at = at.Add(time.Duration(r.Int64N(int64(step))))
		}
		var want survey
		for line := range strings.Lines(b.String()) {
			want.line([]byte(line))
		}
		var got survey
		if err := got.lines(strings.NewReader(b.String())); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(survey{}, stamp{})); d != "" {
			t.Fatalf("survey of\n%s(-every line +skipping)\n%s", b.String(), d)
		}
	}
}

// countingFile counts the bytes that are read of a file.
type countingFile struct {
	*strings.Reader
	read int
}

func (c *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.read += n
	return n, err
}

// TestSurveyLeaps compares a survey of a file, which leaps over bytes within a day,
// with one of the same text as a stream. Where days have many lines it reads little.
func TestSurveyLeaps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	leapt := 0
	for range 30 {
		at := time.Date(2023, 12, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(40 * 24 * time.Hour))))
		var b strings.Builder
		step := time.Second
		for range 30000 {
			switch r.IntN(12000) {
			case 0: // a clock that was set back, or ahead
				at = at.Add(time.Duration(r.Int64N(int64(600*24*time.Hour))) - 300*24*time.Hour)
			case 1: // lines are rare, or frequent
				step = time.Duration(1+r.Int64N(2*3600)) * time.Second
			case 2:
				step = time.Second
			case 3:
				b.WriteString(strings.Repeat("no stamp ", r.IntN(2000)) + "\n")
			}
			fmt.Fprintf(&b, "%s host kernel: %s\n", at.Format(time.Stamp), strings.Repeat("x", r.IntN(120)))
			at = at.Add(time.Duration(r.Int64N(int64(step))))
		}
		var want, got survey
		if err := want.lines(struct{ io.Reader }{strings.NewReader(b.String())}); err != nil {
			t.Fatal(err)
		}
		f := &countingFile{Reader: strings.NewReader(b.String())}
		if err := got.lines(f); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(survey{}, stamp{})); d != "" {
			t.Fatalf("a survey that leaps (-stream +file)\n%s", d)
		}
		if f.read < b.Len()/2 {
			leapt++
		}
	}
	if leapt < 5 {
		t.Errorf("only %d of 30 files were leapt through", leapt)
	}
}
