package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// variable is the name of a flag's environment variable.
func variable(flag string) string {
	return "RAYGO_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fillIn sets the flags that the command line left out: from the environment,
// else from the config file.
func fillIn(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	if err := fromEnvironment(fs, lookup); err != nil {
		return err
	}
	path, err := fs.GetString("config")
	if err != nil || path == "" {
		return err
	}
	return fromFile(fs, path)
}

// commandLineOnly are flags that make no sense elsewhere.
func commandLineOnly(name string) bool { return name == "help" || name == "version" }

func fromEnvironment(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		value, ok := lookup(variable(f.Name))
		if f.Changed || !ok || value == "" || commandLineOnly(f.Name) {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			errs = append(errs, usagef("$%s=%s: %w", variable(f.Name), value, cause(err)))
		}
	})
	return errors.Join(errs...)
}

// fromFile sets the flags that are not set yet from a YAML mapping. A key that
// is no flag is an error that names it.
func fromFile(fs *pflag.FlagSet, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return usagef("read the config file: %w", err)
	}
	defer file.Close()
	var doc yaml.Node
	switch err := yaml.NewDecoder(file).Decode(&doc); {
	case errors.Is(err, io.EOF): // empty
		return nil
	case err != nil:
		return usagef("read the config file %s: %w", path, err)
	}
	top := &doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		top = doc.Content[0]
	}
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil
	}
	if top.Kind != yaml.MappingNode {
		return usagef("%s:%d: the config file is not a list of keys with values", path, top.Line)
	}
	given := map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	seen := map[string]bool{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		name := strings.ReplaceAll(key.Value, "_", "-")
		f := fs.Lookup(name)
		if f == nil || commandLineOnly(name) || name == "config" {
			return usagef("%s:%d: unknown key %q; the keys are the flags of raygo-peer without their dashes, as num-cpus", path, key.Line, key.Value)
		}
		if seen[name] {
			return usagef("%s:%d: key %q is there twice", path, key.Line, key.Value)
		}
		seen[name] = true
		if given[name] {
			continue
		}
		if err := setFromNode(fs, f.Name, value); err != nil {
			return usagef("%s:%d: %s: %w", path, value.Line, key.Value, cause(err))
		}
	}
	return nil
}

// setFromNode gives a flag a YAML value: a scalar, a list for a repeatable
// flag, a mapping for a flag of pairs.
func setFromNode(fs *pflag.FlagSet, name string, value *yaml.Node) error {
	switch value.Kind {
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return nil
		}
		return fs.Set(name, value.Value)
	case yaml.SequenceNode:
		if _, ok := fs.Lookup(name).Value.(pflag.SliceValue); !ok {
			return errors.New("takes one value, not a list")
		}
		for _, v := range value.Content {
			if v.Kind != yaml.ScalarNode {
				return errors.New("takes a list of plain values")
			}
			if err := fs.Set(name, v.Value); err != nil {
				return err
			}
		}
		return nil
	case yaml.MappingNode:
		switch fs.Lookup(name).Value.(type) {
		case resourcesValue, labelsValue:
		default:
			return errors.New("takes one value, not a mapping")
		}
		for i := 0; i+1 < len(value.Content); i += 2 {
			if value.Content[i+1].Kind != yaml.ScalarNode {
				return errors.New("takes a mapping of plain values")
			}
			if err := fs.Set(name, value.Content[i].Value+"="+value.Content[i+1].Value); err != nil {
				return err
			}
		}
		return nil
	default:
		return errors.New("takes a plain value")
	}
}

// cause is the reason inside pflag's error, without its mention of a flag that
// was not on the command line.
func cause(err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return bad.Unwrap()
	}
	return err
}
