"""What all pages share: the one Coach of the process, who acts, how errors and times are drawn."""
