#!/usr/bin/ruby
# frozen_string_literal: true

# Run by BigBlueButton after each published format of a recording, as `ruby … -m RECORD_ID -f FORMAT`.
# It only notes the recording in the hand-over's queue and always exits with 0, so that processing continues.
require 'fileutils'
require 'syslog'

INBOX = ENV.fetch('BBB_FLEET_INBOX', '/var/lib/bbb-fleet-handover/inbox')
# As balancer/core/recordings.py spells them; a test compares them.
RECORD_ID = /\A[0-9a-f]{1,64}-[0-9]{1,20}\z/.freeze
FORMAT = /\A[a-z][a-z0-9_-]{0,31}\z/.freeze

# Unknown options are ignored, because a later BigBlueButton may pass more.
def option(arguments, *names)
  arguments.each_with_index do |word, index|
    names.each do |name|
      return arguments[index + 1] if word == name
      return word[(name.length + 1)..-1] if name.start_with?('--') && word.start_with?("#{name}=")
    end
  end
  nil
end

def sync(path)
  File.open(path, &:fsync)
end

# The rename makes the note appear complete; the syncs make it survive a power cut.
def note(record_id, format)
  name = "#{record_id}-#{format}"
  unfinished = File.join(INBOX, ".#{name}.#{Process.pid}")
  File.write(unfinished, "#{Time.now.to_i}\n")
  sync(unfinished)
  File.rename(unfinished, File.join(INBOX, name))
  sync(INBOX)
end

def report(message)
  warn message
  Syslog.open('bbb-fleet-handover') { |log| log.err('%s', message) }
end

begin
  record_id = option(ARGV, '-m', '--meeting-id')
  format = option(ARGV, '-f', '--format')
  if RECORD_ID.match?(record_id.to_s) && FORMAT.match?(format.to_s)
    note(record_id, format)
  else
    report("not queued: recording #{record_id.inspect}, format #{format.inspect}: not a recordID and a format")
  end
rescue SystemCallError => e
  # The agent itself finds formats that could not be noted here.
  report("not queued: recording #{record_id}, format #{format}: #{e.message}")
end
exit 0
