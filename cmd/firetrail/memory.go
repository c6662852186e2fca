package main

import (
	"math"
	"runtime/debug"
)

// What a command needs is bounded, but garbage may double that: near these bounds the
// collector works for memory rather than time, unless GOMEMLIMIT says something else.
const (
	workMemory     = 768 << 20 // ingest, correlate
	questionMemory = 200 << 20 // search
	countingMemory = 416 << 20 // stats, of which groups take up to
	groupsMemory   = 256 << 20
)

// keepSmall is for what takes long.
func keepSmall() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(workMemory)
	}
}

// frugal is for a question: the collector runs seldom while there is room.
func frugal(limit int64) {
	debug.SetGCPercent(400)
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
}
