package firetrail

import "testing"

func TestProbabilitiesKeepDoubt(t *testing.T) {
	for p, want := range map[float64]string{1: "1", 0: "0", 0.99999: ">0.9999", 0.00001: "<0.0001", 0.5: "0.5", 0.98: "0.98", 0.12345: "0.1235"} {
		if got := Probability(p); got != want {
			t.Errorf("%v is shown as %s, want %s", p, got, want)
		}
	}
}
