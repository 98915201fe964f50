#!/usr/bin/ruby
# frozen_string_literal: true

# Calls the front end when a format of a recording is ready, signed with the node's secret. There is one attempt only, as
# in the script that every BBB node ships (reference 5.6).

require 'base64'
require 'cgi'
require 'json'
require 'net/http'
require 'openssl'
require 'optparse'

ROOT = File.expand_path('../../../../../..', __dir__)
KEYS = %w[bbb-recording-ready-url bn-recording-ready-url canvas-recording-ready-url].freeze
SETTINGS = %w[usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties etc/bigbluebutton/bbb-web.properties].freeze

def secret
  lines = SETTINGS.map { |name| File.join(ROOT, name) }.select { |path| File.file?(path) }
  lines.flat_map { |path| File.readlines(path, chomp: true) }.grep(/\AsecuritySalt=/).last.to_s.delete_prefix('securitySalt=')
end

def value(text, tag)
  CGI.unescapeHTML(text[%r{<#{Regexp.escape(tag)}>([^<]*)</}, 1].to_s)
end

def signed(payload)
  parts = [{ alg: 'HS256' }, payload].map { |part| Base64.urlsafe_encode64(part.to_json, padding: false) }
  signature = OpenSSL::HMAC.digest('SHA256', secret, parts.join('.'))
  [*parts, Base64.urlsafe_encode64(signature, padding: false)].join('.')
end

given = {}
OptionParser.new { |parser| parser.on('-m ID') { |id| given[:id] = id }; parser.on('-f FORMAT') { |name| given[:format] = name } }.parse!
path = File.join(ROOT, 'var/bigbluebutton/published', given.fetch(:format), given.fetch(:id), 'metadata.xml')
metadata = File.read(path, encoding: 'UTF-8')
url = KEYS.map { |key| value(metadata, key) }.find { |found| !found.empty? }
exit if url.nil?

token = signed({ meeting_id: value(metadata, 'meetingId'), record_id: given[:id] })
begin
  answer = Net::HTTP.post_form(URI(url), 'signed_parameters' => token)
  puts "recording ready callback: #{answer.code}"
rescue SystemCallError, SocketError, IOError, OpenSSL::SSL::SSLError, Net::ProtocolError => e
  puts "recording ready callback failed: #{e.class}"
end
