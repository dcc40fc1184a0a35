"""What people look at and send around: a run as one HTML page, two runs side by side, a summary for a pull request."""

from rejoinder.evaluate.report.comparison import write_comparison as write_comparison
from rejoinder.evaluate.report.markdown import summary as summary
from rejoinder.evaluate.report.page import write_report as write_report
