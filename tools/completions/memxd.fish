function __memxd_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memxd_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __memxd_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __memxd_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __memxd_parse_tokens -S
    set -l unparsed_tokens (__memxd_tokens -pc)
    switch $unparsed_tokens[1]
    case 'memxd'
        __memxd_parse_subcommand 0 'link=+' 'region=+' 'xen' 'no-xen' 'memory=' 'arena=' 'hugepages=' 'lock' 'no-lock' 'session-timeout-ms=' 'busy-poll-us=' 'max-sessions=' 'ring-frames=' 'config=' 'check' 'http=' 'log-level=' 'log-format=' 'h/help'
        switch $unparsed_tokens[1]
        case 'help'
            __memxd_parse_subcommand -r 1 
        end
    end
end

function __memxd_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __memxd_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __memxd_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __memxd_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__memxd_tokens -p)
    if test -z "$(__memxd_tokens -t)"
        set -l index (count (__memxd_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'memxd' -f
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd"' -l 'link' -d 'Ethernet interface to serve on, or rdma:ADDRESS[:PORT] or rdma:DEVICE[:PORT] (default port: 34997); may be given several times.' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd"' -l 'region' -d 'A region of memory and who may attach; may be given several times. Keys: quota=SIZE, the most that its pages may take (default: its size); token_file=PATH, a file with what a client must show, up to 32 bytes; token=TEXT, the same here, where every user sees it in ps; client=ADDRESS, a client that may attach, by its Ethernet or over RDMA its IP address, may be given several times (default: any client); strategy=NAME, which page goes next in a post-copy whose client does not say (default: streams+lru); push_rate=SIZE, the most that a post-copy pushes in a second (default: no limit); layout=linear, all of its memory set aside at the start, so that clients over RDMA reach it directly (default: scattered).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" xen' -l 'xen' -d 'In dom0 of a Xen host: serve the memory of guests that memxctl migrate moves away (default: no).'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" no-xen' -l 'no-xen' -d 'In dom0 of a Xen host: serve the memory of guests that memxctl migrate moves away (default: no).'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" memory' -l 'memory' -d 'The most that all regions\' pages together may take, in bytes or with K, M, G, T.' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" arena' -l 'arena' -d 'Directory that keeps pages over a restart; on tmpfs or hugetlbfs for memory, on a disk for what is to survive a reboot (default: none; pages go with the process).' -rfa '(__memxd_complete_directories)'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" hugepages' -l 'hugepages' -d 'Ask for transparent huge pages (default: auto).' -rfka 'auto never'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" lock' -l 'lock' -d 'Take all memory at the start and lock it, so that it is never swapped out (default: no).'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" no-lock' -l 'no-lock' -d 'Take all memory at the start and lock it, so that it is never swapped out (default: no).'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" session-timeout-ms' -l 'session-timeout-ms' -d 'A session whose client is silent for so long ends, in ms (default: 30000).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" busy-poll-us' -l 'busy-poll-us' -d 'Poll so long for the next frame before sleeping, in us; more is faster and takes more CPU time (default: 50).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" max-sessions' -l 'max-sessions' -d 'Sessions at a time on a link (default: 64).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" ring-frames' -l 'ring-frames' -d 'Frames that a link\'s receive ring holds; each takes the MTU of locked kernel memory (default: 4096).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" config' -l 'config' -d 'Configuration in JSON5; options override what it says, --link and --region its whole lists.' -rfa '(set -l exts \'json5\' \'json\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" check' -l 'check' -d 'Check the configuration, say whether it is valid, and end.'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" http' -l 'http' -d 'Serve /status, /metrics and /healthz over HTTP there, or off; loopback only (default: off).' -rfka ''
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" log-level' -l 'log-level' -d 'Log this level and those above (default: info).' -rfka 'trace debug info notice warning error critical'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" log-format' -l 'log-format' -d 'Log in lines of text, or one JSON object a line (default: text).' -rfka 'text json'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_flags_or_options "memxd" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'memxd' -n '__memxd_should_offer_completions_for_positional "memxd" -eq 1' -fa 'help' -d 'Show subcommand help information.'
