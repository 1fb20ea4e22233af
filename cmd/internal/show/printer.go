// Package show owns how the commands print: tables for people, JSON and
// YAML for programs, numbers and times as people read them.
package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
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
		b, err = json.MarshalIndent(v, "", "  ")
		b = append(b, '\n')
	case YAML:
		var buf bytes.Buffer
		e := yaml.NewEncoder(&buf)
		e.SetIndent(2)
		err = e.Encode(v)
		b = buf.Bytes()
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
