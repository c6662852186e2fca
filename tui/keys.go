package tui

// action is what a key does. A screen gets actions, never keys, so that the
// table below is all there is to say about keys.
type action uint8

const (
	actNone action = iota
	actDown
	actUp
	actPageDown
	actPageUp
	actTop
	actBottom
	actNextLink
	actPreviousLink
	actOpen
	actBack
	actPop
	actQuit
	actSuspend
	actHelp
	actView1
	actView2
	actView3
	actEvents
	actAround
	actHex
	actQuery
	actClear
	actLeft
	actRight
	actOnly
	actWithout
	actSort
	actHistogram
	actValues
	actTime
	actNextDay
	actPreviousDay
	actNextBurst
	actPreviousBurst
)

// kind is a sort of screen: it decides which keys there are.
type kind uint16

const (
	kindIncidents kind = 1 << iota
	kindIncident
	kindFinding
	kindRecord
	kindEvents
	kindRuns
	kindRun
	kindHelp
	kindValues

	everywhere = kind(0x1ff)
	documents  = kindIncidents | kindIncident | kindFinding | kindRecord | kindRun | kindHelp
)

// binding is one line of the key table. Help and the hints of the bottom line
// are made from it.
type binding struct {
	keys []string // as bubbletea names them; the first is shown in hints
	act  action
	in   kind   // screens that have it
	does string // for the help
	hint string // a word for the bottom line, "" none
}

// bindings is the key table.
var bindings = []binding{
	{[]string{"enter"}, actOpen, kindIncidents | kindIncident | kindFinding | kindEvents | kindRuns | kindRun, "open what the cursor is on", "open"},
	{[]string{"enter", "f"}, actOnly, kindRecord, "events with the value under the cursor", "events with it"},
	{[]string{"/", ";"}, actQuery, kindEvents, "edit the query; tab completes, enter runs it, esc leaves it", "query"},
	{[]string{"enter", "f"}, actOnly, kindValues, "only events with the value under the cursor", "only it"},
	{[]string{"f"}, actOnly, kindEvents, "only events with the value under the cursor", "only it"},
	{[]string{"F"}, actWithout, kindEvents | kindValues, "only events without the value under the cursor", "not it"},
	{[]string{"v"}, actValues, kindEvents, "the values of the column under the cursor, the most frequent first", "values"},
	{[]string{"e"}, actEvents, kindIncident | kindFinding | kindRuns | kindRun, "its events", "events"},
	{[]string{"a"}, actAround, kindEvents | kindRecord, "all events within a minute of this one", "around"},
	{[]string{"x"}, actHex, kindRecord, "the record's bytes as hex, or as text", "hex"},
	{[]string{"s"}, actSort, kindEvents, "sort by the column under the cursor; again: downwards; again: by time", ""},
	{[]string{"@"}, actTime, kindEvents, "go to a time: a date, a stamp, -2h before the last event", ""},
	{[]string{"d"}, actNextDay, kindEvents, "to the next day", ""},
	{[]string{"D"}, actPreviousDay, kindEvents, "to the beginning of the day, then to the day before", ""},
	{[]string{"]"}, actNextBurst, kindEvents, "to the next burst: bars of twice the mean and more", ""},
	{[]string{"["}, actPreviousBurst, kindEvents, "to the burst before", ""},
	{[]string{"i"}, actHistogram, kindEvents, "show or hide the counts over time", ""},
	{[]string{"ctrl+x"}, actClear, kindEvents, "all events again", ""},
	{[]string{"h", "left"}, actLeft, kindEvents, "one column to the left", ""},
	{[]string{"l", "right"}, actRight, kindEvents, "one column to the right", ""},
	{[]string{"tab"}, actNextLink, documents &^ kindHelp, "next line that can be opened", "next"},
	{[]string{"shift+tab"}, actPreviousLink, documents &^ kindHelp, "previous line that can be opened", ""},
	{[]string{"j", "down"}, actDown, everywhere, "down", ""},
	{[]string{"k", "up"}, actUp, everywhere, "up", ""},
	{[]string{"ctrl+d", "pgdown"}, actPageDown, everywhere, "a page down", ""},
	{[]string{"ctrl+u", "pgup"}, actPageUp, everywhere, "a page up", ""},
	{[]string{"g", "home"}, actTop, everywhere, "to the first", ""},
	{[]string{"G", "end"}, actBottom, everywhere, "to the last", ""},
	{[]string{"1"}, actView1, everywhere, "incidents, as they were left", ""},
	{[]string{"2"}, actView2, everywhere, "events, as they were left", ""},
	{[]string{"3"}, actView3, everywhere, "runs, as they were left", ""},
	{[]string{"esc", "backspace"}, actBack, everywhere, "back to where this was opened from", "back"},
	{[]string{"q"}, actPop, everywhere, "back; at the first screen of a view: quit", "quit"},
	{[]string{"?", "f1"}, actHelp, everywhere &^ kindHelp, "the keys of this screen", "help"},
	{[]string{"ctrl+z"}, actSuspend, everywhere, "suspend; fg comes back", ""},
	{[]string{"ctrl+c"}, actQuit, everywhere, "quit at once", ""},
}

// lookup finds what a key does on a screen.
func lookup(k kind, key string) action {
	for i := range bindings {
		b := &bindings[i]
		if b.in&k == 0 {
			continue
		}
		for _, name := range b.keys {
			if name == key {
				return b.act
			}
		}
	}
	return actNone
}
