// Package columns keeps events in segments: standard Parquet files that DuckDB,
// ClickHouse, Spark and pandas read as they are. It is the only importer of
// parquet-go, of which it uses the encodings and the metadata structures; rows
// never pass through reflection.
//
// A segment holds events of one kind, at most SegmentRows of them, in row groups of
// GroupRows rows. They are of one source in record order; small sources share
// segments, one behind the other. A block is BlockRows rows; block b holds the rows
// from b*BlockRows on, and every page starts at a block's first row, so that a block
// can be read alone. A column that is the same in a whole row group (absent, mostly)
// has one page there.
//
// # Columns
//
//   - every field of firetrail.Fields under its name: text and addresses as
//     strings, numbers as INT64, time and end as TIMESTAMP (UTC) in milli-, micro- or
//     nanoseconds, whatever the segment's times need, duration as INT64 nanoseconds;
//     what a record does not give is null. kind is constant, source
//     where the segment is of one source.
//     end is null in row groups where it is time + duration in every row, which the
//     footer's "firetrail.end" says.
//   - length: bytes of the record, null where the next row of the block begins
//     one byte behind its end; time_guess: "year", "zone", "year,zone" or null.
//   - x.NAME: the record's own fields that occur in the first row group (at most
//     MaxX): INT64 if all its values there are canonical decimal integers, else
//     strings. A value that is no integer does not fit an INT64 column.
//   - x: a MAP for the rest, in record order: names that come later or beyond
//     MaxX, values that do not fit their column, and all but the last of a
//     repeated name.
//
// So the value of x.NAME in a row is that of its column unless null, else the
// last of that name in the map. An event reads back with the map's fields
// before those of columns; nothing of a record is lost. Text that is no UTF-8
// makes its column a plain BYTE_ARRAY in that segment.
//
// # Writing
//
// A Writer collects events column by column. When Full says so, or at the end,
// Cut takes the rows out as a Group, whose vectors are already dictionary-coded:
// flow rollups and block terms are made from them without looking at an event
// again. Group.Encode may run on any goroutine; Writer.Write wants
// the groups in the order in which they were cut.
//
// # Reading
//
// Open reads the footer only. A Reader is one goroutine's cursor: Seek to a
// block, ask for Vectors of the wanted columns (each page is read and decoded
// once), test the distinct values of a Dict rather than rows, and make Events
// of the rows that remain.
package columns

import "firetrail"

const (
	BlockRows   = 4096     // rows of a block
	GroupRows   = 64 << 10 // rows of a row group: 16 blocks
	SegmentRows = 16 * GroupRows
	MaxX        = 256 // x.NAME columns of a segment
)

// Null is the code of a row that has no value.
const Null = ^uint32(0)

// Type is what a column holds.
type Type uint8

const (
	Text Type = iota // strings and addresses
	Int              // int64, firetrail.Absent where null
	Map              // the column "x", read with Reader.Rest
)

// Info describes a column of a segment.
type Info struct {
	Name  string // of firetrail.Fields, "length", "time_guess", "x.NAME" or "x"
	Type  Type
	Field *firetrail.FieldDef // nil for those that are not common fields
	Bloom bool                // Segment.May can refute a value
	Unit  int64               // of a time as it is stored, nanoseconds; vectors are in nanoseconds; else 1
}
