#!/bin/sh
# Writes the manual pages and the completions, made by the program itself.
#
# usage: scripts/pages.sh PROGRAM MAN-FOLDER COMPLETIONS-FOLDER
set -eu
program=$1 man=$2 completions=$3
"$program" man | gzip -9n >"$man/upstreamd.1.gz"
for command in agents announce check completions convert diff explain keys man render status; do
    "$program" man "$command" | gzip -9n >"$man/upstreamd-$command.1.gz"
done
"$program" completions bash >"$completions/upstreamd.bash"
"$program" completions zsh >"$completions/_upstreamd"
"$program" completions fish >"$completions/upstreamd.fish"
