package main

import (
	"context"
	"slices"
	"strings"

	"firetrail/index"
	"firetrail/index/query"

	"github.com/spf13/cobra"
)

// mostCompletions bounds the values that are offered.
const mostCompletions = 200

// completions lists what can stand in the place of the end of a query text, from the
// byte from on: field names, or values that occur in the case.
func completions(ctx context.Context, c *index.Case, text string) (from int, list []string, err error) {
	tail := query.Tail(text)
	switch tail.Field {
	case "", "has":
		names, err := fieldsOf(ctx, c)
		if err != nil {
			return 0, nil, err
		}
		if tail.Field == "" {
			for i := range names {
				names[i] += ":"
			}
			names = append(names, "has:")
		}
		return tail.From, beginning(names, tail.Prefix), nil
	case "run":
		inv, err := c.Inventory()
		if err != nil {
			return 0, nil, err
		}
		for i := range inv.Runs {
			list = append(list, inv.Runs[i].ID)
		}
		slices.Sort(list)
		return tail.From, beginning(list, tail.Prefix), nil
	case "time.guess":
		return tail.From, beginning([]string{"year", "zone"}, tail.Prefix), nil
	}
	quoted, isQuoted := strings.CutPrefix(tail.Prefix, `"`)
	values, err := c.Complete(ctx, tail.Field, strings.ReplaceAll(quoted, `\`, ""), mostCompletions)
	for _, v := range values {
		v = query.Value(tail.Field, v)
		if isQuoted {
			v = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		}
		list = append(list, v)
	}
	return tail.From, list, err
}

// fieldsOf lists the names of the query language and the own fields of the case's records.
func fieldsOf(ctx context.Context, c *index.Case) ([]string, error) {
	own, err := c.Fields(ctx)
	return append(query.Names(), own...), err
}

func beginning(list []string, prefix string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, prefix) })
	return list[:min(len(list), mostCompletions)]
}

// completeQuery completes a query in the shell.
func (a *app) completeQuery(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	c, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer c.Close()
	from, list, err := completions(cmd.Context(), c, text)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for i := range list {
		list[i] = text[:from] + list[i]
	}
	return list, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// completeFields completes a list of field names, separated by commas, in the shell.
func (a *app) completeFields(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	c, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer c.Close()
	names, err := fieldsOf(cmd.Context(), c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	before := text[:strings.LastIndexByte(text, ',')+1]
	if before == "" {
		before = text[:len(text)-len(strings.TrimPrefix(text, "-"))] // of --sort
	}
	list := beginning(names, text[len(before):])
	for i := range list {
		list[i] = before + list[i]
	}
	return list, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// completeBy registers completion of flags that take field names.
func (a *app) completeBy(cmd *cobra.Command, flags ...string) {
	cmd.ValidArgsFunction = a.completeQuery
	for _, f := range flags {
		cmd.RegisterFlagCompletionFunc(f, a.completeFields)
	}
}
