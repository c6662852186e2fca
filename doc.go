// Package firetrail holds the nouns of firewall-log forensics at AI labs: what
// a sensor recorded, what a scheduler ran, and what was concluded from both.
// It uses the standard library only and does no input or output; every other
// package of the module imports it, and it imports none of them.
//
// The words, the same everywhere:
//
//   - A record is the original text or bytes: a line, a JSON object, a packet.
//   - An [Event] is a parsed record. Its [Origin] leads back to the bytes.
//   - A [Source] is one decompressed stream of records, known by its SHA-256.
//   - A [Reject] is a record that was refused, with the reason.
//   - A [Flow] is the rollup of the events that share a [FlowKey].
//   - A [Run] is a training run; a [Lease] says that a run held an address
//     for an interval; a [ToolCall] is one act of an agent inside a run.
//   - A [Finding] is what one detector says, with its [Evidence].
//   - An [Attribution] is who did it, how sure, and what speaks against it.
//   - An [Incident] is a set of findings that belong together, in phases.
//   - A [Query] selects events.
//
// Times are int64 nanoseconds since the Unix epoch in UTC, as recorded by the
// source and never changed afterwards; [Absent] marks what a record does not say.
package firetrail
