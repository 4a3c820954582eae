#!/bin/sh
# A plugin that is a shell script: it does its work in a child of its own, as scripts do.
node "$(dirname "$0")/plugin.mjs" "$@"
echo "the program has ended with $?"
