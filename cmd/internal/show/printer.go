// Package show owns how the commands print: tables for people, JSON and
// YAML for programs, numbers and times as people read them.
package show

import (
	"bytes"
	"fmt"
	"io"
)

// The formats of output.
const (
	Table = "table"
	JSON  = "json"
	YAML  = "yaml"
)

// Formats are all of them.
var Formats = []string{Table, JSON, YAML}

// Printer writes answers in the format that was asked for.
type Printer struct {
	Out    io.Writer
	Notes  io.Writer // what is said about an answer, beside it
	Format string
}

// Value prints v as JSON or YAML, or calls table with the output.
func (p Printer) Value(v any, table func(w io.Writer)) error {
	var b []byte
	var err error
	switch p.Format {
	case JSON:
		b, err = encodeJSON(v)
	case YAML:
		b, err = encodeYAML(v)
	default:
		var buf bytes.Buffer
		table(&buf)
		b = buf.Bytes()
	}
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	_, err = p.Out.Write(b)
	return err
}
