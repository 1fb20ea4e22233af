package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// encodeJSON is v as JSON, with empty lists and maps where it has none: whoever
// reads an answer need not tell null from empty.
func encodeJSON(v any) ([]byte, error) {
	whole := reflect.New(reflect.TypeOf(v))
	whole.Elem().Set(reflect.ValueOf(v))
	fill(whole.Elem())
	b, err := json.MarshalIndent(whole.Interface(), "", "  ")
	return append(b, '\n'), err
}

// fill makes lists and maps where v has none.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // bytes, which are no list
		}
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for _, k := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(k))
			fill(value)
			v.SetMapIndex(k, value)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	}
}

// encodeYAML is v as YAML with the keys, the order and the values that it has
// as JSON. The YAML package's own way with Go values has others: a duration
// becomes text, a large number an exponent.
func encodeYAML(v any) ([]byte, error) {
	b, err := encodeJSON(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := yamlNode(d)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err = e.Encode(n)
	return out.Bytes(), err
}

// yamlNode reads one value; the keys of an object are values too.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if t == '[' {
			n.Kind = yaml.SequenceNode
		}
		for d.More() {
			in, err := yamlNode(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, in)
		}
		_, err = d.Token() // the end of it
		return n, err
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(t)}, nil // a number, true or false
}
