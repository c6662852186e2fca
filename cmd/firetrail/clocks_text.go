package main

import (
	"fmt"
	"math"
	"path"
	"time"

	"firetrail/timeline/attribute"
)

// verdict says in a few words how a source's clock runs.
func (k *clockwork) verdict(i int) string {
	r := &k.readings[i]
	text := ""
	switch o := r.Offset; {
	case !r.Known && k.clocks() == 1:
		text = "no other clock to compare with"
	case !r.Known:
		text = fmt.Sprintf("not enough shared flows (%d of 20)", r.Shared)
	case r.Clock == r.Reference && o == attribute.Offset{}:
		text = "reference"
	case o.InStep():
		text = "in step"
	case o.Vague():
		text = fmt.Sprintf("unclear: differences scatter by %s", spanText(o.Spread))
	case o.Zone:
		text = "zone mistake of " + signed(o.ZoneShift())
	case r.Trust == attribute.TrustAssumed && o.LikelyZone():
		rest := o
		rest.Shift -= o.ZoneShift()
		text = "zone mistake of " + signed(o.ZoneShift()) + ", and " + behind(rest)
	default:
		text = behind(o)
	}
	switch {
	case r.Anchored == 0:
	case r.Inventory.InStep() && text != "reference":
	case r.Inventory.InStep():
		text += "; in step with tool calls"
	case r.Inventory.Zone:
		text += "; tool calls say a zone mistake of " + signed(r.Inventory.ZoneShift())
	default:
		text += "; " + behind(r.Inventory) + " by tool calls"
	}
	return text
}

func (k *clockwork) clocks() int {
	names := map[string]bool{}
	for i := range k.readings {
		names[k.readings[i].Clock] = true
	}
	return len(names)
}

// behind is "65 s behind" or "65 s ahead".
func behind(o attribute.Offset) string {
	word := "ahead"
	if o.Shift < 0 {
		word = "behind"
	}
	text := spanText(o.Shift) + " " + word
	if o.At != 0 && math.Abs(o.Drift) >= 1 {
		text += fmt.Sprintf(", drifting by %.0f ppm", o.Drift)
	}
	return text
}

// spanText is a length of time for people, whatever its sign.
func spanText(ns int64) string {
	d := time.Duration(max(ns, -ns))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 5*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.Round(time.Second).String()
}

func signed(ns int64) string {
	if ns < 0 {
		return "-" + spanText(ns)
	}
	return "+" + spanText(ns)
}

// utcName is the zone of so many nanoseconds east, "UTC-8" or "UTC+5:30".
func utcName(east int64) string {
	sign := '+'
	if east < 0 {
		sign = '-'
	}
	minutes := max(east, -east) / int64(time.Minute)
	if minutes%60 == 0 {
		return fmt.Sprintf("UTC%c%d", sign, minutes/60)
	}
	return fmt.Sprintf("UTC%c%d:%02d", sign, minutes/60, minutes%60)
}

// oddZones are places for the zones that are no whole hours.
var oddZones = map[int64]string{
	-570: "Pacific/Marquesas", -210: "America/St_Johns", -150: "America/St_Johns", 210: "Asia/Tehran", 270: "Asia/Kabul", 330: "Asia/Kolkata",
	345: "Asia/Kathmandu", 390: "Asia/Yangon", 525: "Australia/Eucla", 570: "Australia/Darwin", 630: "Australia/Adelaide", 765: "Pacific/Chatham", 825: "Pacific/Chatham",
}

// zoneName is a name for --timezone, "" where there is none. The Etc zones count
// hours west of Greenwich: UTC-8 is Etc/GMT+8.
func zoneName(east int64) string {
	minutes := east / int64(time.Minute)
	if minutes%60 != 0 {
		return oddZones[minutes]
	}
	return fmt.Sprintf("Etc/GMT%+d", -minutes/60)
}

// hints say what people should know of the clocks, a sentence for each clock.
func (k *clockwork) hints() []string {
	var out []string
	told := map[string]bool{}
	tell := func(key, format string, args ...any) {
		if !told[key] {
			told[key] = true
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for i := range k.readings {
		r, s := &k.readings[i], &k.sources[i]
		if r.Anchored > 0 && k.naiveCalls(r) {
			tell("calls", "the tool calls seem to be written in %s: import them again with 'runs import --timezone %s'", utcName(-r.Inventory.ZoneShift()), zoneName(-r.Inventory.ZoneShift()))
		}
		o, ok := k.offset(i)
		if !ok {
			continue
		}
		name, against := k.name(i), k.against(i)
		zone := o.ZoneShift()
		switch {
		case r.Trust == attribute.TrustAssumed && o.LikelyZone():
			tell(r.Clock+signed(o.Shift), "%s seems to be in %s, by %s: ingest it into a new case with --timezone %s, or the name of its place; until then the offset is taken out in comparisons", name, utcName(zone), against, zoneName(zone))
		case !o.Zone:
			tell(r.Clock+signed(o.Shift), "%s: the clock is %s, against %s; taken out in comparisons", name, behind(o), against)
		default:
			tell(r.Clock+signed(o.Shift), "%s: its zone (%s) seems to be mistaken by %s, by %s; taken out in comparisons", name, zoneOr(s.Zone), signed(zone), against)
		}
	}
	return out
}

// against says what an offset was found by.
func (k *clockwork) against(i int) string {
	r := &k.readings[i]
	switch {
	case !r.Known || r.Offset.InStep():
		return fmt.Sprintf("%d tool calls", r.Anchored)
	case r.Anchored > 0 && !r.Inventory.InStep():
		return fmt.Sprintf("%d flows that %s saw as well and %d tool calls", r.Offset.Pairs, r.Reference, r.Anchored)
	}
	return fmt.Sprintf("%d flows that %s saw as well", r.Offset.Pairs, r.Reference)
}

func zoneOr(zone string) string {
	if zone == "" {
		return "in the records"
	}
	return zone
}

// name is how people know the clock of a source.
func (k *clockwork) name(i int) string {
	if s := &k.sources[i]; s.Sensor != "" {
		return path.Base(s.Path) + " (" + s.Sensor + ")"
	}
	return k.readings[i].Clock
}
