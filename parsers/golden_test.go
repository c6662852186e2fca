package parsers

import "flag"

// update makes golden tests write what they see instead of comparing it.
var update = flag.Bool("update", false, "rewrite golden files")
