package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// parseWithFile parses the command line, and where it (or the environment)
// names a file, fills from the file what neither of them sets.
func parseWithFile(parser *kong.Kong, c *commands, args []string) (*kong.Context, error) {
	k, err := parser.Parse(args)
	if err != nil {
		return nil, err
	}
	if c.Config == "" {
		return k, nil
	}
	file, err := readConfig(c.Config)
	if err != nil {
		return nil, err
	}
	if k.Selected() == nil {
		return k, nil
	}
	known := map[string]*kong.Flag{}
	for _, f := range k.Selected().Flags {
		if !f.Hidden && f.Name != "config" {
			known[f.Name] = f
		}
	}
	for _, key := range slices.Sorted(maps.Keys(file)) {
		if known[key] == nil {
			return nil, fmt.Errorf("%s: unknown setting %q; did you mean %q?", c.Config, key, nearest(key, slices.Sorted(maps.Keys(known))))
		}
	}
	set := map[string]bool{}
	for _, p := range k.Path {
		if p.Flag != nil {
			set[p.Flag.Name] = true
		}
	}
	more := slices.Clone(args)
	for _, key := range slices.Sorted(maps.Keys(file)) {
		if set[key] || slices.ContainsFunc(known[key].Envs, inEnvironment) {
			continue
		}
		value, err := configText(file[key], known[key].IsMap())
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", c.Config, key, err)
		}
		more = append(more, "--"+key+"="+value)
	}
	k, err = parser.Parse(more)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Config, err)
	}
	return k, nil
}

func inEnvironment(name string) bool {
	_, ok := os.LookupEnv(name)
	return ok
}

func readConfig(name string) (map[string]any, error) {
	data, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	file := map[string]any{}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("config file %s: %w", name, err)
	}
	return file, nil
}

// configText turns a value of the file into what the flag would be given.
func configText(v any, section bool) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = fmt.Sprint(p)
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		if section {
			parts := make([]string, 0, len(v))
			for _, k := range slices.Sorted(maps.Keys(v)) {
				parts = append(parts, fmt.Sprintf("%s=%v", k, v[k]))
			}
			return strings.Join(parts, ","), nil
		}
		return "", errors.New("a single value or a list is expected here, not a section")
	default:
		return fmt.Sprint(v), nil
	}
}

// nearest returns the candidate with the fewest edits from s.
func nearest(s string, candidates []string) string {
	best, fewest := "", -1
	for _, c := range candidates {
		if d := edits(s, c); fewest < 0 || d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
