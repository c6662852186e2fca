package parsers

import (
	"fmt"
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
