// RunSubprocess
