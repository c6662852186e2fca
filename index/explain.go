package index

import (
	"context"
	"fmt"
	"io"
	"time"

	"firetrail"
)

// Explain answers q as Search would with the same options and says what that took.
func (c *Case) Explain(ctx context.Context, q firetrail.Query, opt SearchOptions) (Plan, error) {
	var plan Plan
	err := c.search(ctx, q, opt, &plan, func(*firetrail.Event, error) bool { return true })
	return plan, err
}

// Print writes the plan for people.
func (p *Plan) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, `query      %s
segments   %d in the case, %d left out by kind, source or time%s
blocks     %d looked up, %d may hold hits, %d read
rows       %d in the case, %d tested, %d hits found
read       %d pages, %d bytes
time       %v planning, %v reading
`, p.Query, p.Segments, p.SegmentsSkipped, p.unindexed(), p.Blocks, p.Candidates, p.BlocksRead,
		p.Rows, p.RowsTested, p.Hits, p.Pages, p.Bytes, p.Planning.Round(time.Microsecond), p.Reading.Round(time.Microsecond))
	return err
}

func (p *Plan) unindexed() string {
	if p.Unindexed == 0 {
		return ""
	}
	return fmt.Sprintf(", %d without a block index ('firetrail verify --repair' makes it)", p.Unindexed)
}
